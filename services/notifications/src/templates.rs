//! The texts of the mails. All text that a customer reads is in this file.

use contracts::jobs::EmailJob;
use uuid::Uuid;

/// A subject, and a body in plain text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) subject: String,
    pub(crate) body: String,
}

/// The text of a job's mail for a recipient of this name, which may be empty.
pub(crate) fn render(job: &EmailJob, name: &str) -> Text {
    let (subject, letter) = match job {
        EmailJob::Welcome { .. } => ("Welcome to Agora".to_owned(), WELCOME.to_owned()),
        EmailJob::OrderConfirmed {
            order_id,
            total_amount,
            currency,
            ..
        } => confirmed(*order_id, &total(*total_amount, currency)),
        EmailJob::OrderRejected {
            order_id, reason, ..
        } => rejected(*order_id, reason),
        EmailJob::OrderCancelled { order_id, .. } => cancelled(*order_id),
    };
    let greeting = if name.is_empty() {
        "Hello,".to_owned()
    } else {
        format!("Hello {name},")
    };
    Text {
        subject,
        body: format!("{greeting}\n\n{letter}\n\nYour Agora team\n"),
    }
}

const WELCOME: &str = "\
your account is ready. Have a look around: whatever you order, we write to you
as soon as it is set aside for you.";

fn confirmed(order: Uuid, total: &str) -> (String, String) {
    (
        format!("Your order {order} is confirmed"),
        format!(
            "thank you for your order! Everything in it is in stock and set aside for you.\n\n\
             Order: {order}\n\nTotal: {total}\n\n\
             There is nothing you need to do."
        ),
    )
}

fn rejected(order: Uuid, reason: &str) -> (String, String) {
    let reason = reason.replace(char::is_control, " ");
    (
        format!("We are sorry: your order {order} could not be fulfilled"),
        format!(
            "we are sorry, we could not put your order together.\n\n\
             Order: {order}\nReason: {reason}\n\n\
             Nothing was charged. You are welcome to order again."
        ),
    )
}

/// It does not say who cancelled the order: an administrator may, too.
fn cancelled(order: Uuid) -> (String, String) {
    (
        format!("Your order {order} is cancelled"),
        format!(
            "we have cancelled your order.\n\n\
             Order: {order}\n\n\
             Nothing will be charged. We hope to see you again."
        ),
    )
}

/// `1234` cents are `12.34 EUR`. Two decimals, as for every currency of the shop.
fn total(amount: i64, currency: &str) -> String {
    let sign = if amount < 0 { "-" } else { "" };
    let (whole, minor) = (amount.unsigned_abs() / 100, amount.unsigned_abs() % 100);
    format!("{sign}{whole}.{minor:02} {currency}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Uuid = Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_ad91);
    const USER: Uuid = Uuid::nil();

    fn confirmation() -> EmailJob {
        EmailJob::OrderConfirmed {
            user_id: USER,
            order_id: ORDER,
            total_amount: 120_305,
            currency: "EUR".into(),
        }
    }

    fn rejection(reason: &str) -> EmailJob {
        EmailJob::OrderRejected {
            user_id: USER,
            order_id: ORDER,
            reason: reason.into(),
        }
    }

    #[test]
    fn a_confirmation_reads_like_a_letter() {
        let text = render(&confirmation(), "Ada");
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
        let cancellation = EmailJob::OrderCancelled {
            user_id: USER,
            order_id: ORDER,
        };
        for job in [confirmation(), rejection("none left"), cancellation] {
            let text = render(&job, "");
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
        }
    }

    #[test]
    fn a_cancellation_does_not_say_that_the_customer_asked_for_it() {
        let (_, letter) = cancelled(ORDER);
        let said = format!("we have cancelled your order.\n\nOrder: {ORDER}\n");
        assert!(letter.starts_with(&said), "{letter}");
    }

    #[test]
    fn a_rejection_gives_its_reason_on_one_line() {
        let body = render(&rejection("gone\r\n.\r\nMAIL FROM"), "Ada").body;
        assert!(body.contains("\nReason: gone  .  MAIL FROM\n"), "{body}");
    }

    #[test]
    fn money_has_two_decimals() {
        for (amount, text) in [
            (0, "0.00 EUR"),
            (5, "0.05 EUR"),
            (100, "1.00 EUR"),
            (-1250, "-12.50 EUR"),
        ] {
            assert_eq!(total(amount, "EUR"), text);
        }
    }
}
