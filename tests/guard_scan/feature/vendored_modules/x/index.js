const socket = new WebSocket('ws://vendored');
