# Alarms of one metric each; those of the quota, by metric math, follow. Runbooks: infra/README.md.

locals {
  actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  # Runbooks of alarms by route; the others have the alarm's name.
  runbooks = { dead_lettered = "dead-letters", throttled = "throttles", expired = "age" }

  alarms = merge(
    {
      dead-letters = {
        namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", minutes = 1, threshold = 0
        dimensions = { QueueName = aws_sqs_queue.dead_letters.name }
      }
      undelivered = {
        namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", minutes = 1, threshold = 0
        dimensions = { QueueName = aws_sqs_queue.undelivered.name }
      }
      lost = {
        namespace  = "AWS/Events", metric = "InvocationsFailedToBeSentToDlq", statistic = "Sum", minutes = 1, threshold = 0
        dimensions = { EventBusName = var.event_bus_name, RuleName = var.rule_name }
      }
      age = {
        namespace  = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", statistic = "Maximum", minutes = 3, threshold = 4 * var.max_age_seconds
        dimensions = { QueueName = aws_sqs_queue.events.name }
      }
      publish-errors = {
        namespace  = "AWS/IoT", metric = "PublishIn.AuthError", statistic = "Sum", minutes = 2, threshold = 0
        dimensions = { Protocol = "MQTT" }
      }
      throttles = {
        namespace  = "AWS/IoT", metric = "PublishIn.Throttle", statistic = "Sum", minutes = 2, threshold = 0
        dimensions = { Protocol = "MQTT" }
      }
    },
    {
      for route in var.routes : "route-${route.name}-dead_lettered" => {
        namespace  = var.name, metric = "dead_lettered", statistic = "Sum", minutes = 1, threshold = 0
        dimensions = { route = route.name }
      }
    },
    {
      for route in var.routes : "route-${route.name}-throttled" => {
        namespace  = var.name, metric = "throttled", statistic = "Sum", minutes = 3, threshold = 0
        dimensions = { route = route.name }
      }
    },
    {
      for route in var.routes : "route-${route.name}-expired" => {
        namespace  = var.name, metric = "expired", statistic = "Sum", minutes = 3, threshold = 0
        dimensions = { route = route.name }
      } if route.expires
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "alarms" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Runbook: infra/README.md, ${lookup(local.runbooks, each.value.metric, each.key)}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 60
  evaluation_periods  = each.value.minutes
  threshold           = each.value.threshold
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
}

resource "aws_cloudwatch_metric_alarm" "tasks" {
  alarm_name          = "${var.name}-tasks"
  alarm_description   = "No task of the bridge runs. Runbook: infra/README.md, tasks"
  namespace           = "ECS/ContainerInsights"
  metric_name         = "RunningTaskCount"
  dimensions          = { ClusterName = aws_ecs_cluster.eventcast.name, ServiceName = aws_ecs_service.bridge.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
}

resource "aws_cloudwatch_metric_alarm" "quota" {
  alarm_name          = "${var.name}-inbound-quota"
  alarm_description   = "Inbound publishes are above 70 % of the quota. Runbook: infra/README.md, quota"
  evaluation_periods  = 3
  threshold           = 70
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions

  metric_query {
    id          = "use"
    label       = "Per cent of the inbound quota"
    return_data = true
    expression  = "100 * FILL(published, 0) / (60 * ${var.inbound_quota})"
  }

  metric_query {
    id = "published"

    metric {
      namespace   = "AWS/IoT"
      metric_name = "PublishIn.Success"
      dimensions  = { Protocol = "MQTT" }
      stat        = "Sum"
      period      = 60
    }
  }
}
