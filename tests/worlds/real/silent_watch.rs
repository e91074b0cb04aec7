//! Connections to the API server that die without a word, as when a network device has forgotten
//! them: nothing comes any more, and neither end is told.

use super::{ground::within, install::Install};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// keyturn knows within this time every change that a dead connection hides: it gives up a watch
/// after 50 s, and takes a moment to open another.
const NOTICED: Duration = Duration::from_secs(55);

/// A way to the API server that can forget its connections.
struct Way {
    at: SocketAddr,
    forgotten: watch::Sender<usize>,
}

impl Way {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (forgotten, _) = watch::channel(0);
        let forgets = forgotten.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut forgets, server) = (forgets.subscribe(), server.clone());
                let before = *forgets.borrow_and_update();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(&server).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                        _ = forgets.wait_for(|forgotten| *forgotten > before) => {}
                    }
                    // Both ends stay open, and nothing is passed on.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { at, forgotten }
    }

    /// Passes nothing on any more over the connections that are open now. New ones work.
    fn forget(&self) {
        self.forgotten.send_modify(|forgotten| *forgotten += 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the ground: make test"]
async fn connections_that_die_silently_are_noticed_within_a_minute() {
    let install = Install::scoped().await;
    let way = Way::to(install.ground.at.server.trim_start_matches("https://").to_owned()).await;
    let operator = install.start_over(&format!("https://{}", way.at)).await;
    install.apply_grant(|_| {}).await;
    install.apply_config("alice", |_| {}).await;
    install.until_ready_is("alice", "True/Issued").await;

    way.forget();
    install.apply_config("bob", |_| {}).await;
    within(NOTICED, "a config that the dead watch hid has its credential", async || {
        let bob = install.configs().get("bob").await.unwrap();
        let ready = bob.status.is_some_and(|status| status.access_key_id.is_some());
        if ready { Ok(()) } else { Err(operator.log()) }
    })
    .await;
    assert!(!operator.log().contains("panicked"), "{}", operator.log());
}
