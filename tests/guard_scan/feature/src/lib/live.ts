// The constructor under another name: its use is the fault, wherever it is.
export const Live = (globalThis as any).WebSocket;
