output "queue_url" {
  description = "bridge.queue of eventcast.yaml"
  value       = aws_sqs_queue.events.url
}

output "dead_letter_queue_url" {
  description = "bridge.dead_letter_queue of eventcast.yaml"
  value       = aws_sqs_queue.dead_letters.url
}

output "undelivered_queue_url" {
  description = "The rule's dead-letter queue: eventcast dlq list --dead-letter-queue URL"
  value       = aws_sqs_queue.undelivered.url
}

output "roles" {
  description = "ARNs of the roles: bridge, doctor, dlq, dlq-read"
  value       = { for name, role in aws_iam_role.roles : name => role.arn }
}

output "log_group" {
  description = "Logs and embedded metrics of the tasks"
  value       = aws_cloudwatch_log_group.bridge.name
}
