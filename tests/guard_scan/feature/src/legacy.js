// rt-allow: RT010 until=UNTIL owner=orders reason="moves to the platform's client"
const feed = new EventSource('/feed');
