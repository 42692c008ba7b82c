//! Signatures of the SDK's own signer, and faults in other signatures.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: &str = "127.0.0.1:9001";

/// 2015-08-30T12:36:00Z.
fn begin() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
}

/// Request to sign, and the parameters of its signature.
#[derive(Clone)]
struct SigningPlan<'a> {
    query: &'a str,
    secret: &'a str,
    service: &'a str,
    expires: u64,
    token: Option<(&'a str, SessionTokenMode)>,
}

const PLAN: SigningPlan<'static> = SigningPlan {
    query: "",
    secret: SECRET,
    service: SERVICE,
    expires: 60,
    token: None,
};

impl SigningPlan<'_> {
    /// Returns the query with its signature.
    fn signed(&self) -> String {
        let token = self.token.map(|(token, _)| token.to_owned());
        let identity = Credentials::new(ID, self.secret, token, None, "test").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(self.expires));
        if let Some((_, mode)) = self.token {
            settings.session_token_mode = mode;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(self.service)
            .time(begin())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("http://{HOST}/mqtt?{}", self.query);
        let headers = std::iter::once(("host", HOST));
        let request = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]));
        let (instructions, _) = sign(request.unwrap(), &parameters).unwrap().into_parts();
        let (_, added) = instructions.into_parts();
        let added = added
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, UNRESERVED)));
        let given = (!self.query.is_empty()).then(|| self.query.to_owned());
        given.into_iter().chain(added).collect::<Vec<_>>().join("&")
    }
}

fn verified(query: &str, host: &str, now: SystemTime) -> Result<String, SignatureError> {
    let headers = [
        ("upgrade".to_owned(), "websocket".to_owned()),
        ("host".to_owned(), host.to_owned()),
    ];
    let signed = SignedRequest {
        path: "/mqtt",
        query,
        headers: &headers,
    };
    signed.verify(&|id| (id == ID).then_some(SECRET), now)
}

fn after(seconds: u64) -> SystemTime {
    begin() + Duration::from_secs(seconds)
}

#[test]
fn the_sdks_signature_is_good_for_as_long_as_it_says() {
    let query = PLAN.signed();
    assert!(SignedRequest::is_there(&query));
    for seconds in [0, 60] {
        assert_eq!(verified(&query, HOST, after(seconds)), Ok(ID.to_owned()));
    }
    assert_eq!(
        verified(&query, HOST, after(61)),
        Err(SignatureError::Expired(60))
    );
    let ahead = |seconds| verified(&query, HOST, begin() - Duration::from_secs(seconds));
    assert_eq!(ahead(300), Ok(ID.to_owned()));
    assert_eq!(ahead(301), Err(SignatureError::Early));
}

/// Clients may omit X-Amz-Expires, which the SDK's signer cannot; the test signs step by step.
#[test]
fn a_signature_that_does_not_say_for_how_long() {
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Feu-west-1%2Fiotdevicegateway%2Faws4_request\
        &X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host";
    // The digest of empty text is well known.
    let canonical = format!(
        "GET\n/mqtt\n{query}\nhost:{HOST}\n\nhost\n\
         e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let canonical = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/eu-west-1/iotdevicegateway/aws4_request\n{canonical}"
    );
    let key = generate_signing_key(SECRET, begin(), "eu-west-1", SERVICE);
    let signature = v4::calculate_signature(key, text.as_bytes());
    let query = format!("{query}&X-Amz-Signature={signature}");
    assert_eq!(verified(&query, HOST, after(300)), Ok(ID.to_owned()));
    assert_eq!(
        verified(&query, HOST, after(301)),
        Err(SignatureError::Expired(300))
    );
}

/// IoT Core requires the token behind the signature; most other services require it in front.
#[test]
fn the_token_is_not_signed() {
    let with = |mode| {
        SigningPlan {
            token: Some(("a/b+c=", mode)),
            ..PLAN
        }
        .signed()
    };
    let late = format!("{}&X-Amz-Security-Token=a%2Fb%2Bc%3D", PLAN.signed());
    assert_eq!(verified(&late, HOST, begin()), Ok(ID.to_owned()));
    let early = with(SessionTokenMode::Include);
    assert!(early.contains(SECURITY_TOKEN), "{early}");
    assert_eq!(
        verified(&early, HOST, begin()),
        Err(SignatureError::Mismatch)
    );
}

#[test]
fn what_is_not_taken() {
    let query = PLAN.signed();
    let told = |query: &str| verified(query, HOST, begin()).unwrap_err().to_string();
    let of = |plan: &SigningPlan<'_>| told(&plan.signed());
    let without = |name: &str| {
        let pairs = query.split('&').filter(|pair| !pair.starts_with(name));
        told(&pairs.collect::<Vec<_>>().join("&"))
    };
    let lines = [
        of(&SigningPlan {
            secret: "other",
            ..PLAN
        }),
        of(&SigningPlan {
            service: "iotdata",
            ..PLAN
        }),
        of(&SigningPlan {
            expires: 86_401,
            ..PLAN
        }),
        told(&query.replace(ID, "AKIDOTHER")),
        told(&query.replace("20150830T123600Z", "20150831T123600Z")),
        told(&query.replace("20150830T123600Z", "today")),
        told(&query.replace("HMAC-SHA256", "HMAC-MD5")),
        told(&query.replace("SignedHeaders=host", "SignedHeaders=date")),
        told(&query.replace("SignedHeaders=host", "SignedHeaders=host%3Bdate")),
        told(&query.replace("Expires=60", "Expires=6000")),
        told(&format!("{query}&extra=1")),
        told(&query.replace("X-Amz-Signature=", "X-Amz-Signature=0")),
        verified(&query, "localhost:9001", begin())
            .unwrap_err()
            .to_string(),
        without("X-Amz-Algorithm"),
        without("X-Amz-Credential"),
        without("X-Amz-Date"),
        without("X-Amz-SignedHeaders"),
        without("X-Amz-Signature"),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_signed_at_all() {
    for (query, wanted) in [
        ("", false),
        ("token=x", false),
        ("X-Amz-Security-Token=x", false),
        ("a=b&X-Amz-Signature=00", true),
        ("X-Amz-Algorithm", true),
    ] {
        assert_eq!(SignedRequest::is_there(query), wanted, "{query}");
    }
}

proptest! {
    /// Other parameters of the query are signed as the SDK signs them, and a changed character of
    /// the signature is detected.
    #[test]
    fn other_parameters_are_signed_too(
        pairs in prop::collection::vec(("[a-z]{1,3}", "[ -~é]{0,6}"), 0..4),
        at in 0..64_usize,
        other in "[0-9a-f]",
    ) {
        let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let signed = SigningPlan { query: &query, ..PLAN }.signed();
        prop_assert_eq!(verified(&signed, HOST, begin()), Ok(ID.to_owned()));
        let begins = signed.find("X-Amz-Signature=").unwrap() + "X-Amz-Signature=".len() + at;
        let mut forged = signed.clone();
        forged.replace_range(begins..=begins, &other);
        let expected = if forged == signed { Ok(ID.to_owned()) } else { Err(SignatureError::Mismatch) };
        prop_assert_eq!(verified(&forged, HOST, begin()), expected);
    }
}
