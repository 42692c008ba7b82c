resource "aws_appautoscaling_target" "bridge" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.eventcast.name}/${aws_ecs_service.bridge.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "backlog" {
  name               = "${var.name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.bridge.service_namespace
  scalable_dimension = aws_appautoscaling_target.bridge.scalable_dimension
  resource_id        = aws_appautoscaling_target.bridge.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_out_cooldown = 30
    scale_in_cooldown  = 300

    customized_metric_specification {
      metrics {
        id          = "waiting"
        label       = "Events that wait"
        return_data = false

        metric_stat {
          stat = "Maximum"

          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"

            dimensions {
              name  = "QueueName"
              value = aws_sqs_queue.events.name
            }
          }
        }
      }

      metrics {
        id          = "running"
        label       = "Tasks that run"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.eventcast.name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.bridge.name
            }
          }
        }
      }

      # Neither metric is there without messages or tasks, and nothing is divided by zero.
      metrics {
        id          = "backlog"
        label       = "Events that wait for each task"
        return_data = true
        expression  = "IF(FILL(running, 0) < 1, FILL(waiting, 0), FILL(waiting, 0) / FILL(running, 1))"
      }
    }
  }
}

resource "aws_appautoscaling_policy" "age" {
  name               = "${var.name}-age"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.bridge.service_namespace
  scalable_dimension = aws_appautoscaling_target.bridge.scalable_dimension
  resource_id        = aws_appautoscaling_target.bridge.resource_id

  step_scaling_policy_configuration {
    adjustment_type          = "PercentChangeInCapacity"
    min_adjustment_magnitude = 1
    metric_aggregation_type  = "Maximum"
    cooldown                 = 60

    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = 60
      scaling_adjustment          = 50
    }

    step_adjustment {
      metric_interval_lower_bound = 60
      scaling_adjustment          = 100
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "scale_out" {
  alarm_name          = "${var.name}-scale-out-on-age"
  alarm_description   = "Adds tasks; it is no page for a person"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.events.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 2
  threshold           = var.max_age_seconds
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.age.arn]
}
