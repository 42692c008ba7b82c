const socket = new WebSocket('ws://localhost');
