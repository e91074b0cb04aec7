//! The listener of a port, in a cluster of any address family.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

/// Listens on an address. `[::]` stands for every address of the machine: Linux serves IPv4 there,
/// too (`net.ipv6.bindv6only` is 0, ipv6(7)). A kernel without IPv6 has no such address, so that
/// keyturn listens on `0.0.0.0` in its place.
///
/// # Errors
/// [`io::Error`] of the address that was asked for, if neither can be listened on.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).or_else(|error| match without_ipv6(address, error.kind()) {
        Some(other) => TcpListener::bind(other).map_err(|_| error),
        None => Err(error),
    })
}

/// The address for a kernel that refuses `[::]` because it has no IPv6. A port that is taken, or
/// that the process may not have, is no sign of that.
fn without_ipv6(address: SocketAddr, refused: io::ErrorKind) -> Option<SocketAddr> {
    let is_about_the_port = matches!(refused, io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    let is_every_address = address.is_ipv6() && address.ip().is_unspecified();
    (is_every_address && !is_about_the_port).then(|| (Ipv4Addr::UNSPECIFIED, address.port()).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind;
    use std::net::{Ipv6Addr, TcpStream};

    #[test]
    fn the_address_of_every_family_serves_each_family() {
        let port = listen("[::]:0".parse().unwrap()).unwrap();
        let number = port.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, number)).unwrap();
        // A machine without IPv6 has no such address.
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, number)).unwrap();
        }
    }

    #[test]
    fn a_kernel_without_ipv6_gets_the_address_of_ipv4() {
        for (name, address, refused, expected) in [
            ("no IPv6", "[::]:9443", ErrorKind::Other, Some("0.0.0.0:9443")),
            ("no such address", "[::]:8080", ErrorKind::AddrNotAvailable, Some("0.0.0.0:8080")),
            ("a port in use", "[::]:9443", ErrorKind::AddrInUse, None),
            ("a port of root", "[::]:443", ErrorKind::PermissionDenied, None),
            ("one address of IPv6", "[::1]:9443", ErrorKind::AddrNotAvailable, None),
            ("IPv4", "0.0.0.0:9443", ErrorKind::Other, None),
        ] {
            let other = without_ipv6(address.parse().unwrap(), refused);
            assert_eq!(other, expected.map(|expected| expected.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let taken = listen("[::]:0".parse().unwrap()).unwrap();
        let error = listen(taken.local_addr().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}
