//! One contract, proven on every kind of store.

/// Makes a test of every rule in memory and on each kind of server. A rule is a function of this
/// crate that takes the store; `$at` makes one from an address.
macro_rules! contract {
    ($memory:expr, $at:path, [$($place:ident: $server:ty),+], $rules:tt) => {
        $crate::support::contract::contract!(@memory $memory, $rules);
        $($crate::support::contract::contract!(@server $place, $server, $at, $rules);)+
    };
    (@memory $memory:expr, ($($rule:ident),+ $(,)?)) => {
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $rule() {
                super::$rule(&$memory).await;
            })+
        }
    };
    (@server $place:ident, $server:ty, $at:path, ($($rule:ident),+ $(,)?)) => {
        mod $place {
            $(#[tokio::test]
            async fn $rule() {
                let server = <$server>::start().await;
                super::$rule(&$at(&server.url())).await;
            })+
        }
    };
}

pub(crate) use contract;
