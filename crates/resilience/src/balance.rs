//! Spreads calls over endpoints, away from slow and failing ones.
