//! What the mails say. All text that a customer reads is in this file.

use contracts::jobs::{EmailJob, Template};
use uuid::Uuid;

/// A subject, and a body in plain text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// A job without something that its mail cannot do without.
#[derive(Debug, thiserror::Error)]
#[error("a {template:?} mail needs {missing}, and the job has none")]
pub(crate) struct Incomplete {
    template: Template,
    missing: &'static str,
}

/// Writes the mail of a job to somebody of that name, which may be empty.
pub(crate) fn render(job: &EmailJob, name: &str) -> Result<Text, Incomplete> {
    let order = || {
        job.order_id.ok_or(Incomplete {
            template: job.template,
            missing: "an order",
        })
    };
    let (subject, letter) = match job.template {
        Template::Welcome => ("Welcome to Agora".to_owned(), WELCOME.to_owned()),
        Template::OrderConfirmed => confirmed(order()?, total(job)),
        Template::OrderRejected => rejected(order()?, job.reason.as_deref()),
        Template::OrderCancelled => cancelled(order()?),
    };
    let greeting = if name.is_empty() {
        "Hello,".to_owned()
    } else {
        format!("Hello {name},")
    };
    Ok(Text {
        subject,
        body: format!("{greeting}\n\n{letter}\n\nYour Agora team\n"),
    })
}

const WELCOME: &str = "\
your account is ready. Have a look around: whatever you order, we write to you
as soon as it is set aside for you.";

fn confirmed(order: Uuid, total: Option<String>) -> (String, String) {
    let total = total
        .map(|total| format!("\n\nTotal: {total}"))
        .unwrap_or_default();
    (
        format!("Your order {order} is confirmed"),
        format!(
            "thank you for your order! Everything in it is in stock and set aside for you.\n\n\
             Order: {order}{total}\n\n\
             There is nothing you need to do."
        ),
    )
}

fn rejected(order: Uuid, reason: Option<&str>) -> (String, String) {
    let reason = reason
        .map(|reason| format!("\nReason: {}", reason.replace(char::is_control, " ")))
        .unwrap_or_default();
    (
        format!("We are sorry: your order {order} could not be fulfilled"),
        format!(
            "we are sorry, we could not put your order together.\n\n\
             Order: {order}{reason}\n\n\
             Nothing was charged. You are welcome to order again."
        ),
    )
}

fn cancelled(order: Uuid) -> (String, String) {
    (
        format!("Your order {order} is cancelled"),
        format!(
            "as you asked, we have cancelled your order.\n\n\
             Order: {order}\n\n\
             Nothing will be charged. We hope to see you again."
        ),
    )
}

/// `1234` cents are `12.34 EUR`. Two decimals, as every currency of the shop has.
fn total(job: &EmailJob) -> Option<String> {
    let (amount, currency) = (job.total_amount?, job.currency.as_deref()?);
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, minor) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
    Some(format!("{sign}{whole}.{minor:02} {currency}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Uuid = Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_ad91);

    fn job(template: Template) -> EmailJob {
        EmailJob {
            user_id: Uuid::nil(),
            order_id: Some(ORDER),
            template,
            reason: Some("only 1 Lamp left".into()),
            total_amount: Some(120_305),
            currency: Some("EUR".into()),
            email: None,
            name: None,
        }
    }

    #[test]
    fn a_confirmation_reads_like_a_letter() {
        let text = render(&job(Template::OrderConfirmed), "Ada").unwrap();
        assert_eq!(text.subject, format!("Your order {ORDER} is confirmed"));
        assert_eq!(
            text.body,
            format!(
                "Hello Ada,\n\nthank you for your order! Everything in it is in stock and set aside for you.\n\n\
                 Order: {ORDER}\n\nTotal: 1203.05 EUR\n\nThere is nothing you need to do.\n\nYour Agora team\n"
            )
        );
    }

    #[test]
    fn every_mail_about_an_order_names_it() {
        for template in [
            Template::OrderConfirmed,
            Template::OrderRejected,
            Template::OrderCancelled,
        ] {
            let text = render(&job(template), "").unwrap();
            assert!(
                text.subject.contains(&ORDER.to_string()),
                "{}",
                text.subject
            );
            assert!(
                text.body.contains(&ORDER.to_string()) && text.body.starts_with("Hello,\n"),
                "{}",
                text.body
            );
            let nameless = EmailJob {
                order_id: None,
                ..job(template)
            };
            assert!(
                render(&nameless, "Ada").is_err_and(|error| error.to_string().contains("an order"))
            );
        }
    }

    #[test]
    fn a_rejection_gives_its_reason_on_one_line() {
        let job = EmailJob {
            reason: Some("gone\r\n.\r\nMAIL FROM".into()),
            ..job(Template::OrderRejected)
        };
        assert!(
            render(&job, "Ada")
                .unwrap()
                .body
                .contains("\nReason: gone  .  MAIL FROM\n")
        );
    }

    #[test]
    fn money_has_two_decimals() {
        for (amount, text) in [
            (0, "0.00 EUR"),
            (5, "0.05 EUR"),
            (100, "1.00 EUR"),
            (-1250, "-12.50 EUR"),
        ] {
            let job = EmailJob {
                total_amount: Some(amount),
                ..job(Template::OrderConfirmed)
            };
            assert_eq!(total(&job).as_deref(), Some(text));
        }
    }
}
