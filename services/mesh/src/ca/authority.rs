//! An authority: a key that signs, and what it signs.

use std::time::Duration;

use chassis::Fatal;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

/// How far the clocks of two machines may be apart.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// From when to when something is good, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// The first second.
    pub from: u64,
    /// The last second.
    pub until: u64,
}

impl Life {
    /// What is made at `now` and lives for `life`; a little earlier, for clocks that are behind.
    #[must_use]
    pub fn starting(now: u64, life: Duration) -> Self {
        Self {
            from: now.saturating_sub(CLOCK_SKEW.as_secs()),
            until: now.saturating_add(life.as_secs()),
        }
    }

    /// Whether it is good at `now`.
    #[must_use]
    pub fn holds(self, now: u64) -> bool {
        self.from <= now && now < self.until
    }
}

/// A certificate and its key, both PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key: whoever has it is the service.
    pub key: String,
}

/// A key that signs certificates, and its own certificate.
pub struct Authority {
    id: u64,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one, which is called after the time when it was made.
    ///
    /// # Errors
    /// When the system gives no randomness, or the time cannot be told in a certificate.
    pub fn make(id: u64, life: Life) -> Result<(Self, Issued), Fatal> {
        let key = KeyPair::generate()?;
        let params = parameters(id, life)?;
        let certificate = params.self_signed(&key)?.pem();
        let issued = Issued {
            certificate: certificate.clone(),
            key: key.serialize_pem(),
        };
        let authority = Self {
            id,
            certificate,
            issuer: Issuer::new(params, key),
        };
        Ok((authority, issued))
    }

    /// One that was made before. Its certificate need not be parsed: what it takes to sign follows from its name and its
    /// key.
    ///
    /// # Errors
    /// When the key is none.
    pub fn read(id: u64, issued: &Issued) -> Result<Self, Fatal> {
        let key = KeyPair::from_pem(&issued.key)?;
        // When it ends is in its own certificate only, which is made already.
        let params = parameters(id, Life::starting(id, Duration::ZERO))?;
        Ok(Self {
            id,
            certificate: issued.certificate.clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate with this identity (a URI) and these DNS names, and a key that nobody had before.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(&self, identity: &str, names: &[String], life: Life) -> Result<Issued, Fatal> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params
            .subject_alt_names
            .push(SanType::URI(identity.try_into()?));
        // No common name: identities are read from the URI only.
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        set_life(&mut params, life)?;
        let certificate: Certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn parameters(id: u64, life: Life) -> Result<CertificateParams, Fatal> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Different names, so that nobody tries the key of one on what the other has signed.
    let name = format!("Agora mesh authority {id}");
    params.distinguished_name.push(DnType::CommonName, name);
    // It signs services, no further authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_life(&mut params, life)?;
    Ok(params)
}

fn set_life(params: &mut CertificateParams, life: Life) -> Result<(), Fatal> {
    params.not_before = moment(life.from)?;
    params.not_after = moment(life.until)?;
    Ok(())
}

fn moment(seconds: u64) -> Result<OffsetDateTime, Fatal> {
    Ok(OffsetDateTime::from_unix_timestamp(i64::try_from(
        seconds,
    )?)?)
}
