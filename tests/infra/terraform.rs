//! The Terraform module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::moto::cache;
use crate::{files, infra, named, output_of};

/// HashiCorp's formatter and parser of HCL: whether files have the form of `terraform fmt`.
fn form(files: &[PathBuf]) -> (i32, String) {
    let installed = cache().join("terraform/node_modules");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/terraform/form.cjs");
    let mut node = Command::new("node");
    output_of(node.arg(script).args(files).env("NODE_PATH", installed))
}

#[test]
fn the_module_has_the_form_of_hcl() {
    let module = files("terraform", "tf");
    assert!(module.len() > 6, "{module:?}");
    assert_eq!(form(&module), (0, String::new()));
    // The formatter would see a fault, and so would the parser.
    let folder = std::env::temp_dir().join(format!("eventcast-hcl-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let wrong = folder.join("rule.tf");
    let text = fs::read_to_string(infra("terraform/rule.tf")).unwrap();
    fs::write(&wrong, text.replacen(" = ", "  =  ", 1)).unwrap();
    let (status, found) = form(std::slice::from_ref(&wrong));
    assert!(status == 1 && found.contains("rule.tf:"), "{found}");
    fs::write(&wrong, "resource \"a\" \"b\" { x = }\n").unwrap();
    let (status, found) = form(&[wrong]);
    fs::remove_dir_all(&folder).unwrap();
    assert!(
        status == 2 && found.contains("Invalid expression"),
        "{found}"
    );
}

/// Validation by terraform itself stops at the provider, which no test can fetch, and finds nothing
/// before. No registry of Debian, Python or npm has terraform: where it is not installed, the form
/// is still checked above, and the names that are used below.
#[test]
fn terraform_reads_the_module() {
    if Command::new("terraform").arg("version").output().is_err() {
        eprintln!("terraform is not installed: the module is not validated by it");
        return;
    }
    let terraform = |arguments: &[&str]| {
        let mut command = Command::new("terraform");
        let output = command
            .args(arguments)
            .current_dir(infra("terraform"))
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        text(output.stdout) + &text(output.stderr)
    };
    let unformatted = terraform(&["fmt", "-check", "-diff"]);
    assert!(!unformatted.contains(".tf\n"), "{unformatted}");
    let found = terraform(&["validate", "-no-color"]);
    let errors: Vec<&str> = found
        .lines()
        .filter(|line| line.contains("Error: "))
        .collect();
    let is_provider = |line: &&str| line.contains("Missing required provider");
    assert!(
        errors.iter().all(is_provider) && !errors.is_empty(),
        "{found}"
    );
}

/// The checks of a provider, as far as names go: variables and resources that are used are there,
/// nothing is left over, and the rendered values are variables.
#[test]
fn terraform_names_what_is_there() {
    let text: String = files("terraform", "tf")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let variables = named(&text, r#"(?m)^variable "(\w+)""#);
    assert_eq!(named(&text, r"\bvar\.(\w+)"), variables);
    let declared = named(&text, r#"(?m)^(?:resource|data) "(\w+" "\w+)""#);
    let used = named(&text, r"\b(?:data\.)?(aws_\w+\.\w+)(?:\[|\.)");
    for one in used {
        let one = one.replace('.', "\" \"");
        assert!(declared.contains(&one), "{one} is used and not declared");
    }
    let rendered = fs::read_to_string(infra("example/eventcast.auto.tfvars.json")).unwrap();
    let rendered: Value = serde_json::from_str(&rendered).unwrap();
    for name in rendered.as_object().unwrap().keys() {
        assert!(variables.contains(name), "no variable {name}");
    }
}
