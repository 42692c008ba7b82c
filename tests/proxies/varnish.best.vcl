# varnish with WebSockets piped, as its documents have it ("Using Varnish with WebSockets").
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
    if (req.http.upgrade ~ "(?i)websocket") {
        return (pipe);
    }
    if (req.url ~ "^/rt/v1/(session|poll|stream|ack)") {
        return (pass);
    }
}

sub vcl_pipe {
    if (req.http.upgrade) {
        set bereq.http.upgrade = req.http.upgrade;
        set bereq.http.connection = req.http.connection;
    }
}
