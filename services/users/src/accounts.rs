//! Signing up, signing in, and the first admin.

use std::time::Duration;

use chassis::db;
use contracts::identity::REALM;
use outbox::Outbox;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    budgets::Budgets,
    domain::{Credentials, Email, Name, NewUser, Password, User},
    error::Error,
    events::{self, Audience},
    keys::Keyring,
    origin::Origin,
    passwords::{Hasher, Verdict},
    store,
    turns::Lane,
};

/// The name of an operator's account until somebody changes it.
const ADMIN_NAME: &str = "Administrator";
/// How long a sign-in waits until a new hash of its password is stored. The gateway gives the whole call 3 s, which a pool without
/// a free connection or a row that is locked would use up.
const REPLACE_MAX: Duration = Duration::from_millis(500);

/// The parts that sign-up and sign-in need.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The service's own database.
    pub pool: PgPool,
    /// Computes and verifies password hashes.
    pub hasher: Hasher,
    /// Limits on failed attempts.
    pub budgets: Budgets,
    /// Signs tokens.
    pub keyring: Keyring,
    /// Announces new accounts.
    pub outbox: Outbox,
}

/// A token and its lifetime.
#[derive(Debug)]
pub struct Session {
    /// A JWT.
    pub access_token: String,
    /// The lifetime of the token, in seconds.
    pub expires_in_s: u64,
}

impl Accounts {
    /// Creates a customer's account and announces it in the same transaction.
    ///
    /// # Errors
    /// [`Error::EmailTaken`], [`Error::Spent`], [`Error::Busy`], and errors of the database.
    pub async fn sign_up(&self, origin: Origin, new: NewUser) -> Result<User, Error> {
        let attempt = self.budgets.sign_up(origin, new.email.as_str());
        let turn = self.hasher.turn(self.budgets.check(&attempt)?).await?;
        let pending = self.budgets.begin(attempt)?;
        // Before the transaction: a hash takes long, and connections are scarce.
        let hash = self.hasher.hash(turn, new.password).await?;
        match self.insert(&new.email, &new.name, &hash).await {
            Ok(user) => {
                pending.succeeded();
                Ok(user)
            }
            // Not forgiven: the caller has learned that this email has an account, which is charged to its budget.
            Err(Error::EmailTaken) => Err(Error::EmailTaken),
            Err(error) => {
                pending.forgive();
                Err(error)
            }
        }
    }

    async fn insert(&self, email: &Email, name: &Name, hash: &str) -> Result<User, Error> {
        let mut tx = self.outbox.begin_named(&self.pool, "create user").await?;
        let user = store::insert(&mut tx, Uuid::now_v7(), email, name, hash)
            .await?
            .ok_or(Error::EmailTaken)?;
        events::created(&mut tx, &user, Audience::Everybody)?;
        tx.commit().await?;
        Ok(user)
    }

    /// Exchanges credentials for a token. An unknown email takes the same work and gets the same answer as a wrong
    /// password, so that nobody can find out which emails have an account.
    ///
    /// # Errors
    /// [`Error::BadCredentials`], [`Error::Spent`], [`Error::Busy`], and errors of the database.
    pub async fn sign_in(
        &self,
        origin: Origin,
        email: &str,
        password: Password,
        lifetime: Option<Duration>,
    ) -> Result<Session, Error> {
        let attempt = self.budgets.sign_in(origin, email);
        // Checked first, so that a refusal costs neither the database nor a core anything.
        let lane = self.budgets.check(&attempt)?;
        // An invalid address belongs to no account and is not sent to the database.
        let found = match Email::parse(email) {
            Ok(email) => store::credentials(&self.pool, &email).await?,
            Err(_) => None,
        };
        let stored = found.as_ref().map(|found| found.password_hash.clone());
        let turn = self.hasher.turn(lane).await?;
        let pending = self.budgets.begin(attempt)?;
        let verdict = self.hasher.verify(turn, password.clone(), stored).await?;
        let found = found
            .filter(|_| verdict != Verdict::Wrong)
            .ok_or(Error::BadCredentials)?;
        pending.succeeded();
        if verdict == Verdict::RightButOutdated {
            self.renew_hash(lane, &found, password).await;
        }
        let signer = self.keyring.signer().await?;
        // Keys are published for as long as the longest token is good, so a longer one is not to be had.
        let most = self.keyring.token_lifetime();
        let lifetime = lifetime.map_or(most, |asked| asked.min(most));
        let claims = REALM.claims(found.user_id, found.role, lifetime);
        Ok(Session {
            access_token: signer.sign(&claims)?,
            expires_in_s: claims.exp - claims.iat,
        })
    }

    /// Replaces a hash of older parameters, if there is a free turn. Otherwise, or if it fails, the next sign-in tries again:
    /// this one had the right password, and must be neither refused nor late because of a second hash.
    async fn renew_hash(&self, lane: Lane, found: &Credentials, password: Password) {
        let Some(turn) = self.hasher.free_turn(lane) else {
            return;
        };
        let renew = async {
            let new = self.hasher.hash(turn, password).await?;
            let old = &found.password_hash;
            let replaced = store::replace_hash(&self.pool, found.user_id, old, &new);
            db::within(REPLACE_MAX, replaced).await?;
            Ok::<_, Error>(())
        };
        if let Err(error) = renew.await {
            tracing::info!(user_id = %found.user_id, %error, "the hash of older parameters stays until the next sign-in");
        }
    }

    /// Migrates the schema, including the tables of outbox and inbox, and creates the first key and the first admin if
    /// they are missing. Safe to repeat, also while other replicas are running.
    ///
    /// # Errors
    /// Errors of the database.
    pub(crate) async fn prepare(&self, admin: Option<&(Email, Password)>) -> Result<(), Error> {
        db::migrate(&self.pool, &store::MIGRATIONS).await?;
        outbox::install(&self.pool).await?;
        db::within(db::ANSWER_TIMEOUT, self.keyring.maintain()).await?;
        if let Some((email, password)) = admin {
            let ensured = self.ensure_admin(email, password.clone());
            db::within(db::ANSWER_TIMEOUT, ensured).await?;
        }
        Ok(())
    }

    /// Ensures that an admin with these credentials exists: creates the account, or gives the account with this email
    /// the role and the password. Safe with several replicas at once.
    ///
    /// # Errors
    /// [`Error::Busy`], and errors of the database.
    pub async fn ensure_admin(&self, email: &Email, password: Password) -> Result<(), Error> {
        let ours = self.budgets.sign_in(Origin::Ourselves, email.as_str());
        let lane = self.budgets.check(&ours)?;
        let found = store::credentials(&self.pool, email).await?;
        if let Some(found) = found.filter(|found| found.role.is_admin()) {
            let (turn, stored) = (self.hasher.turn(lane).await?, Some(found.password_hash));
            if self.hasher.verify(turn, password.clone(), stored).await? == Verdict::Right {
                return Ok(());
            }
        }
        let turn = self.hasher.turn(lane).await?;
        let hash = self.hasher.hash(turn, password).await?;
        let mut tx = self
            .outbox
            .begin_named(&self.pool, "ensure administrator")
            .await?;
        let (user, is_new) =
            store::upsert_admin(&mut tx, Uuid::now_v7(), email, ADMIN_NAME, &hash).await?;
        if is_new {
            events::created(&mut tx, &user, Audience::Stream)?;
        }
        tx.commit().await?;
        tracing::info!(user_id = %user.id, created = is_new, "the admin's account is up to date");
        Ok(())
    }
}
