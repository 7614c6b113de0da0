//! `sqlx::migrate!` embeds the migrations; cargo does not see a new file in a folder by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
