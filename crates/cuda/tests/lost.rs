//! A device that computes no more says so. Alone in its program: the device is of no use to it afterwards.

mod support;

use fourier_kv_cuda::CudaError;
use fourier_kv_cuda::attention::exact::ExactAttention;
use fourier_kv_cuda::attention::{Heads, TokensView};

#[test]
fn a_lost_device_is_an_error_that_says_what_was_being_done() {
    let Some(device) = support::device() else { return };
    let heads = Heads { heads: 4, kv_heads: 1, head_dim: 128 };
    let attention = ExactAttention::new(&device, heads).unwrap();
    let mut work = attention.work(&device, 1).unwrap();
    let queries = device.upload(&vec![1.0; 4 * 128]).unwrap();
    let mut out = device.upload(&vec![0.0; 4 * 128]).unwrap();
    // Rows where there is no memory.
    let nowhere = TokensView { keys: 0x1000, values: 0x1000, count: 64, capacity: 64 };
    let views = device.upload(&[nowhere]).unwrap();
    attention.attend(&device, &queries, &views, &mut work, &mut out).unwrap();
    for lost in [device.synchronize(), device.upload(&[1u32]).map(|_| ()), out.read().map(|_| ())] {
        match lost {
            Err(CudaError::Lost { reason, .. }) => assert!(!reason.is_empty()),
            other => panic!("{other:?}"),
        }
    }
}
