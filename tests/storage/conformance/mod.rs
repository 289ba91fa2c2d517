//! What every storage has to do, as [`Storage`](muleteer::storage::Storage) promises it.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, though only the macro marks them as such"
)]

mod appending;
mod deferred;
mod ending;
mod fences;
mod joining;
mod parts;

pub use appending::*;
pub use deferred::*;
pub use ending::*;
pub use fences::*;
pub use joining::*;
pub use parts::*;

/// One line for each backend: its name, and a future that gives an `Option` of its [`Place`]; `None` leaves it out.
/// Behind `of appending:` stand those that differ from another one in nothing else.
macro_rules! conformance {
    (of appending: $($backend:ident => $place:expr;)*) => {$(
        mod $backend {
            use super::*;
            conformance! { @appending $place }
        }
    )*};
    (@appending $place:expr) => {
        conformance! { @tests $place;
            bytes_are_appended_in_any_sizes,
            bytes_for_another_offset_are_refused,
            a_cut_body_keeps_what_came_where_every_byte_counts,
            a_body_that_counts_as_a_whole_keeps_nothing_when_it_fails,
            a_new_instance_sees_parts_and_offset,
            what_comes_late_under_a_lower_fence_changes_nothing,
            each_append_has_a_higher_fence,
            what_is_safe_is_told_on_the_way,
            a_length_may_be_told_at_the_end,
            a_length_may_be_told_on_the_way,
            a_length_that_was_told_and_is_not_on_record_loses_nothing,
            a_file_of_unknown_length_may_turn_out_empty,
            uploads_of_every_size_are_joined_in_order,
            one_upload_is_joined_as_often_as_it_is_wanted,
            nothing_joined_with_nothing_is_an_empty_file,
            joining_begins_anew_after_a_failure,
            a_partial_upload_leaves_nothing_when_it_is_given_up,
        }
    };
    ($($backend:ident => $place:expr;)*) => {$(
        mod $backend {
            use super::*;

            conformance! { @appending $place }
            conformance! { @tests $place;
                parts_in_any_order_make_the_file,
                parts_at_once_make_the_file,
                parts_of_every_size_make_the_file,
                parts_from_two_instances_make_the_file,
                a_file_is_read_in_ranges,
                a_part_that_is_sent_again_replaces,
                a_wrong_body_leaves_nothing,
                a_wrong_body_leaves_the_part_that_was_there,
                what_is_not_known_is_vanished,
                finishing_twice_is_vanished_and_the_file_is_there,
                finishing_never_overwrites,
                finishing_too_early_is_refused_and_can_be_done_later,
                giving_up_drops_everything_and_can_be_repeated,
                empty_and_tiny_files_are_files,
                names_of_any_letters_are_kept,
                a_removed_file_is_gone,
                what_is_unfinished_is_listed_and_can_be_dropped,
                it_is_well,
            }
        }
    )*};
    (@tests $place:expr; $($name:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            match $place.await {
                Some(place) => conformance::$name(&place).await,
                None => eprintln!("left out: there is no such storage here"),
            }
        }
    )*};
}
