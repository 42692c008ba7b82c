resource "aws_cloudwatch_event_rule" "events" {
  name           = var.rule_name
  description    = "Events of the routes of eventcast.yaml"
  event_bus_name = var.event_bus_name
  event_pattern  = var.event_pattern
  state          = "ENABLED"
}

resource "aws_cloudwatch_event_target" "queue" {
  target_id      = "eventcast"
  rule           = aws_cloudwatch_event_rule.events.name
  event_bus_name = var.event_bus_name
  arn            = aws_sqs_queue.events.arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  # Without a group a FIFO queue gets nothing, and nobody is told.
  dynamic "sqs_target" {
    for_each = var.fifo ? [var.message_group_id] : []

    content {
      message_group_id = sqs_target.value
    }
  }

  # An event that comes before the policies is refused.
  depends_on = [aws_sqs_queue_policy.events, aws_sqs_queue_policy.undelivered]
}
