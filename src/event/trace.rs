//! Trace context: W3C `traceparent`, and AWS X-Ray's own format.

/// The length of a version-00 `traceparent` (W3C Trace Context, section 3.2).
const LENGTH: usize = 55;

/// Returns `true` if a text is a W3C `traceparent` of version 00, with ids that are not all zeros.
pub fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|byte| byte != b'0');
    let mut parts = text.split('-');
    let [version, trace, parent, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
    text.len() == LENGTH && version == "00" && id(trace, 32) && id(parent, 16) && hex(flags, 2)
}

/// The `traceparent` of an X-Ray tracing header, such as `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`
/// (X-Ray developer guide, "Tracing header"). `None` without a whole root and parent.
pub fn from_xray(header: &str) -> Option<String> {
    let field = |name: &str| {
        let mut fields = header.split(';').filter_map(|field| field.split_once('='));
        fields.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
    };
    let (time, unique) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
    let sampled = u8::from(field("Sampled") == Some("1"));
    let traceparent = format!("00-{time}{unique}-{}-0{sampled}", field("Parent")?);
    is_traceparent(&traceparent).then_some(traceparent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents() {
        assert!(is_traceparent(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        ));
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-1",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }

    #[test]
    fn xray_headers() {
        let traceparent = |header| from_xray(header).unwrap_or_default();
        assert_eq!(
            traceparent(
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
            ),
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
        );
        assert_eq!(
            traceparent(
                "Parent=53995c3f42cd8ad8; Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a:1"
            ),
            "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-00"
        );
        for bad in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=2;Parent=3",
            "x",
        ] {
            assert_eq!(traceparent(bad), "", "{bad}");
        }
    }
}
