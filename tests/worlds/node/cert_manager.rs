//! The webhook with a certificate of cert-manager's. The test acts as cert-manager: it fills the
//! Secret that a Certificate names, and publishes the authority where an annotation asks for it.

use super::release::Release;
use crate::real::ground::{eventually, run, run_with_input};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{from_value, json};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: make test"]
async fn injection_survives_new_certificates_and_another_source() {
    let release = Release::with_sessions_of(3_600, &[]).await;
    if release.install.ground.at.adopted.is_some() {
        eprintln!("left out: this test plays cert-manager, whose CRDs an adopted cluster may have");
        return;
    }
    definitions(&release);

    release.install.set("webhook.certificate.source=CertManager");
    let first = Issued::now(&release).await;
    first.publish(&release).await;
    first.write_secret(&release).await;
    release.until_available().await;
    release.until_pods_are_injected().await;

    let second = Issued::now(&release).await;
    second.publish(&release).await;
    eventually("the former certificate is trusted no more", async || {
        let said = release.probe();
        if said.contains("AWS_CONFIG_FILE") { Err(said) } else { Ok(()) }
    })
    .await;
    second.write_secret(&release).await;
    release.until_pods_are_injected().await;

    // Until the rollout ends, the leader has the former revision and keeps no certificate.
    release.install.set("webhook.certificate.source=Generated");
    release.until_available().await;
    release.until_pods_are_injected().await;

    release.install.set("webhook.enabled=false");
    release.until_available().await;
    assert!(!release.probe().contains("AWS_CONFIG_FILE"));
    release.install.set("webhook.enabled=true");
    release.until_available().await;
    release.until_pods_are_injected().await;
}

/// Installs cert-manager's kinds, as far as the chart's objects need them.
fn definitions(release: &Release) {
    for (kind, plural) in [("Certificate", "certificates"), ("Issuer", "issuers")] {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        let names = json!({"kind": kind, "plural": plural});
        let spec = json!({"group": "cert-manager.io", "scope": "Namespaced", "names": names, "versions": [version]});
        let metadata = json!({"name": format!("{plural}.cert-manager.io")});
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec,
        });
        let mut apply = release.install.ground.kubectl();
        let (ok, said) = run_with_input(apply.args(["apply", "-f", "-"]), &definition.to_string());
        assert!(ok, "{said}");
        let mut wait = release.install.ground.kubectl();
        run(wait.args(["wait", "--for=condition=Established", &format!("crd/{plural}.cert-manager.io")]));
    }
}

/// A self-signed certificate, as cert-manager makes it with an issuer of the kind `SelfSigned`.
struct Issued {
    /// The Certificate that it was made for, as `namespace/name`.
    of: String,
    secret: String,
    certificate: String,
    key: String,
}

impl Issued {
    async fn now(release: &Release) -> Self {
        let install = &release.install;
        let (group, version, kind) = ("cert-manager.io".into(), "v1".into(), "Certificate".into());
        let resource = ApiResource::from_gvk(&GroupVersionKind { group, version, kind });
        let certificates: Api<DynamicObject> = Api::namespaced_with(install.admin.clone(), &install.system, &resource);
        let asked = certificates.get(&format!("{}-webhook", install.fullname())).await.unwrap();
        let names: Vec<String> = from_value(asked.data["spec"]["dnsNames"].clone()).unwrap();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            of: format!("{}/{}", install.system, asked.name_any()),
            secret: from_value(asked.data["spec"]["secretName"].clone()).unwrap(),
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    async fn write_secret(&self, release: &Release) {
        let held = [("tls.crt", &self.certificate), ("tls.key", &self.key), ("ca.crt", &self.certificate)];
        let data = held.into_iter().map(|(key, pem)| (key.to_owned(), ByteString(pem.clone().into_bytes())));
        let secret = Secret {
            metadata: from_value(json!({"name": self.secret})).unwrap(),
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data.collect()),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(release.install.admin.clone(), &release.install.system);
        let cert_manager = PatchParams::apply("cert-manager").force();
        secrets.patch(&self.secret, &cert_manager, &Patch::Apply(&secret)).await.unwrap();
    }

    async fn publish(&self, release: &Release) {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(release.install.admin.clone());
        let name = release.install.fullname();
        let configuration = configurations.get(&name).await.unwrap();
        assert_eq!(configuration.annotations().get("cert-manager.io/inject-ca-from"), Some(&self.of));
        let bundle = ByteString(self.certificate.clone().into_bytes());
        let count = configuration.webhooks.iter().flatten().count();
        let operations = (0..count).map(
            |number| json!({"op": "add", "path": format!("/webhooks/{number}/clientConfig/caBundle"), "value": bundle}),
        );
        let patch: Patch<()> = Patch::Json(from_value(operations.collect()).unwrap());
        configurations.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    }
}
