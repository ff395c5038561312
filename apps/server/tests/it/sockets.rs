//! A WebSocket client of a test.

use crate::harness::{Person, TestServer};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

pub(crate) async fn connect(server: &TestServer) -> Socket {
    let url = format!("ws://{}/ws", server.address());
    let mut request = url.into_client_request().unwrap();
    let protocol = "mainstay.v1".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    connect_async(request).await.unwrap().0
}

pub(crate) async fn introduced(server: &TestServer, person: &Person) -> Socket {
    let mut socket = connect(server).await;
    send(&mut socket, json!({"type": "auth", "token": person.token})).await;
    receive(&mut socket, "authenticated").await;
    socket
}

pub(crate) async fn send(socket: &mut Socket, frame: Value) {
    let text = frame.to_string();
    socket.send(Message::text(text)).await.unwrap();
}

/// The next frame of `kind`; others are passed over.
pub(crate) async fn receive(socket: &mut Socket, kind: &str) -> Value {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
                assert_ne!(frame["type"], "error", "{frame}");
            }
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?} instead of {kind}"),
        }
    }
}

/// Every frame until the socket is closed, and the code it is closed with.
pub(crate) async fn to_the_end(socket: &mut Socket) -> (Vec<Value>, u16) {
    let mut frames = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => frames.push(serde_json::from_str(&text).unwrap()),
            Message::Close(Some(close)) => return (frames, close.code.into()),
            _ => {}
        }
    }
    (frames, 0)
}

pub(crate) async fn close_code(socket: &mut Socket) -> u16 {
    to_the_end(socket).await.1
}
