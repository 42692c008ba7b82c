# Those that `eventcast infra render` sets come first: put eventcast.auto.tfvars.json beside the root module.

variable "event_pattern" {
  description = "The pattern of the rule, JSON: the routes' patterns together"
  type        = string
}

variable "queue_name" {
  description = "Name of the queue, without .fifo"
  type        = string
}

variable "dead_letter_queue_name" {
  description = "Name of the queue for events that can never be published, without .fifo"
  type        = string
}

variable "fifo" {
  description = "Whether the queue and its dead-letter queue keep the order of message groups"
  type        = bool
  default     = false
}

variable "stop_timeout" {
  description = "Seconds from SIGTERM to SIGKILL, longer than bridge.drain"
  type        = number

  validation {
    condition     = var.stop_timeout >= 30 && var.stop_timeout <= 120
    error_message = "Fargate takes 120 seconds at most; less than 30 leaves no time to drain."
  }
}

variable "max_tasks" {
  description = "The most tasks that IoT Core's quota feeds"
  type        = number
}

variable "inbound_quota" {
  description = "IoT Core's inbound publishes a second of this account and Region"
  type        = number
  default     = 20000
}

variable "bridge_policy" {
  description = "Policy of the bridge's role, JSON"
  type        = string
}

variable "count_tasks" {
  description = "Whether the bridge asks ECS how many tasks share the quota (bridge.pace.count_tasks)"
  type        = bool
  default     = false
}

variable "doctor_policy" {
  description = "Policy of the role of `eventcast doctor --upstream`, JSON"
  type        = string
}

variable "dlq_policy" {
  description = "Policy of the role of `eventcast dlq`, JSON; null without a dead-letter queue"
  type        = string
  default     = null
}

variable "dlq_read_policy" {
  description = "Policy of the role of `eventcast dlq list` and `show`, JSON; null without a dead-letter queue"
  type        = string
  default     = null
}

variable "routes" {
  description = "The routes, for their alarms"
  type = list(object({
    name    = string
    expires = bool
  }))
  default = []
}

# Those of the platform.

variable "name" {
  description = "Name of cluster, service, roles and alarms"
  type        = string
  default     = "eventcast"
}

variable "event_bus_name" {
  description = "Name of the event bus"
  type        = string
  default     = "default"
}

variable "rule_name" {
  description = "Name of the rule"
  type        = string
  default     = "eventcast"
}

variable "message_group_id" {
  description = "The one message group of a FIFO queue's events: a rule knows no group of an event"
  type        = string
  default     = "eventcast"
}

variable "undelivered_queue_name" {
  description = "Name of the dead-letter queue of the rule's target"
  type        = string
  default     = "eventcast-undelivered"
}

variable "image_uri" {
  description = "The image, best with its digest"
  type        = string
}

variable "image_repository_arn" {
  description = "ARN of the private ECR repository of the image; null for all of the account"
  type        = string
  default     = null
}

variable "configuration" {
  description = "The text of eventcast.yaml, without secrets"
  type        = string
}

variable "vpc_id" {
  description = "The VPC of the tasks"
  type        = string
}

variable "subnet_ids" {
  description = "Subnets in two zones at least, with a way to SQS, IoT Core, ECR, SSM and CloudWatch Logs"
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Tasks in one zone end with that zone: name two subnets at least."
  }
}

variable "assign_public_ip" {
  description = "True in public subnets without a NAT gateway; nothing can connect to the tasks in either case"
  type        = bool
  default     = false
}

variable "min_tasks" {
  description = "The fewest tasks"
  type        = number
  default     = 2
}

variable "cpu" {
  description = "CPU units of a task"
  type        = number
  default     = 512
}

variable "memory" {
  description = "MiB of a task"
  type        = number
  default     = 1024
}

variable "backlog_per_task" {
  description = "Waiting events for each task that are aimed at"
  type        = number
  default     = 1000
}

variable "max_age_seconds" {
  description = "Age of the oldest event above which tasks are added; four times that calls a person"
  type        = number
  default     = 30
}

variable "visibility_timeout" {
  description = "Seconds that a received event is hidden; the bridge extends it while it works"
  type        = number
  default     = 30
}

variable "max_receive_count" {
  description = "Receives of an event before SQS moves it to the dead-letter queue"
  type        = number
  default     = 5
}

variable "operator_arns" {
  description = "Roles or users that may take the roles of operators; empty for whom IAM of this account allows it"
  type        = list(string)
  default     = []
}

variable "alarm_topic_arn" {
  description = "SNS topic of the alarms; null for none"
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "Days that logs are kept"
  type        = number
  default     = 30
}
