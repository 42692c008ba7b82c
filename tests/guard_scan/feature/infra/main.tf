resource "aws_iot_policy" "orders" {
  name   = "orders"
  policy = jsonencode({ Version = "2012-10-17", Statement = [] })
}
