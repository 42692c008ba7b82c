resource "aws_ssm_parameter" "configuration" {
  name        = "/${var.name}/configuration"
  description = "eventcast.yaml"
  type        = "String"
  tier        = "Intelligent-Tiering"
  value       = var.configuration
}

resource "aws_ecs_cluster" "eventcast" {
  name = var.name

  # RunningTaskCount, which scaling divides by, exists only with Container Insights.
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "bridge" {
  name              = "/eventcast/${var.name}"
  retention_in_days = var.log_retention_days
}

data "aws_iam_policy_document" "execution" {
  # This action knows no resource.
  statement {
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [coalesce(var.image_repository_arn, "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/*")]
  }

  statement {
    actions   = ["ssm:GetParameters"]
    resources = [aws_ssm_parameter.configuration.arn]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.bridge.arn}:*"]
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.name
  policy = data.aws_iam_policy_document.execution.json
}

resource "aws_ecs_task_definition" "bridge" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.roles["bridge"].arn

  runtime_platform {
    cpu_architecture        = "ARM64"
    operating_system_family = "LINUX"
  }

  container_definitions = jsonencode([{
    name                   = "bridge"
    image                  = var.image_uri
    command                = ["bridge", "--wait", "--log-format", "json"]
    essential              = true
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    stopTimeout            = var.stop_timeout
    secrets                = [{ name = "EVENTCAST_CONFIG_TEXT", valueFrom = aws_ssm_parameter.configuration.arn }]
    environment = [
      { name = "AWS_REGION", value = local.region },
      { name = "EVENTCAST_BRIDGE_LISTEN", value = "127.0.0.1:9464" },
      { name = "EVENTCAST_BRIDGE_EMBEDDED_METRICS", value = var.name },
    ]
    # A new configuration makes a new task definition, so that tasks are replaced.
    dockerLabels = { "eventcast.configuration" = sha256(var.configuration) }
    healthCheck = {
      command     = ["CMD", "/eventcast", "healthcheck"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 15
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.bridge.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "bridge"
        "mode"                  = "non-blocking"
        "max-buffer-size"       = "4m"
      }
    }
  }])
}

# Nothing connects to a task: its port of health and metrics is on the loopback interface.
resource "aws_security_group" "tasks" {
  name_prefix = "${var.name}-"
  description = "Tasks of ${var.name}: out to AWS by TLS, nothing in"
  vpc_id      = var.vpc_id

  dynamic "egress" {
    for_each = [443, 8883]

    content {
      description = "AWS by TLS"
      protocol    = "tcp"
      from_port   = egress.value
      to_port     = egress.value
      cidr_blocks = ["0.0.0.0/0"]
    }
  }
}

resource "aws_ecs_service" "bridge" {
  name                               = var.name
  cluster                            = aws_ecs_cluster.eventcast.id
  task_definition                    = aws_ecs_task_definition.bridge.arn
  desired_count                      = var.min_tasks
  launch_type                        = "FARGATE"
  availability_zone_rebalancing      = "ENABLED"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = var.assign_public_ip
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  # Scaling changes the number.
  lifecycle {
    ignore_changes = [desired_count]
  }
}
