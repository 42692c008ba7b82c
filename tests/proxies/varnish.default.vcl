# Debian's default.vcl with two backends; everything else is varnish's built-in VCL.
vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "@HTTP@";
}

backend websocket {
    .host = "127.0.0.1";
    .port = "@WEBSOCKET@";
}

sub vcl_recv {
    if (req.url ~ "^/mqtt") {
        set req.backend_hint = websocket;
    }
}
