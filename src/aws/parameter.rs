//! One parameter of AWS Systems Manager, such as the text of the configuration (API reference,
//! GetParameter).

use aws_config::SdkConfig;
use serde_json::json;

use super::json_call::SSM;

/// The value of a parameter, decrypted where it is a secure one.
///
/// # Errors
/// One line that says why there is none.
pub async fn parameter(config: &SdkConfig, name: &str) -> Result<String, String> {
    let input = json!({ "Name": name, "WithDecryption": true });
    let answer = SSM.call(config, "GetParameter", &input).await;
    let answer = answer.map_err(|error| error.to_string())?;
    let value = answer
        .get("Parameter")
        .and_then(|parameter| parameter.get("Value")?.as_str());
    value
        .map(str::to_owned)
        .ok_or_else(|| "ssm:GetParameter: an answer without a value".to_owned())
}
