//! What a job asks of its host, in the texts that Batch takes
//! (metaflow/plugins/aws/batch/batch_client.py, `BatchJob.cpu`, `memory` and `gpu`).

use serde::{Deserialize, Serialize};

use super::{
    OptionError, Options,
    python::{float, format_g, integer_part},
};

/// Resource requirements of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// VCPU; a fraction on Fargate.
    pub vcpu: String,
    /// MEMORY, in MiB.
    pub memory: String,
    /// GPU, where one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
}

impl Resources {
    /// Reads `cpu`, `memory` and `gpu`, after upstream's merge of `@resources` and `@batch`.
    pub fn new(options: Options<'_>) -> Result<Self, OptionError> {
        let text = |name| options.text(name).unwrap_or_else(|| "None".to_owned());
        let (cpu, memory, gpu) = (text("cpu"), text("memory"), text("gpu"));
        let positive =
            |text: &str| float(text).filter(|number| *number > 0.0 && number.is_finite());
        Ok(Self {
            vcpu: positive(&cpu).map(format_g).ok_or(OptionError::Cpu(cpu))?,
            memory: positive(&memory)
                .map(integer_part)
                .ok_or(OptionError::Memory(memory))?,
            gpu: match float(&gpu).filter(|number| number.is_finite()) {
                Some(number) => (number > 0.0).then(|| integer_part(number)),
                None => return Err(OptionError::Gpu(gpu)),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resources(cpu: Value, memory: Value, gpu: Value) -> Result<Resources, OptionError> {
        let options = json!({"cpu": cpu, "memory": memory, "gpu": gpu});
        Resources::new(Options::new(options.as_object().unwrap()))
    }

    #[test]
    fn they_are_formatted_as_upstream_formats_them() {
        // cpu, memory, gpu as upstream's merge leaves them; VCPU, MEMORY, GPU.
        let table = [
            (json!("1"), json!("4096"), json!("0"), "1", "4096", None),
            (json!("2.0"), json!("8000.0"), json!("0"), "2", "8000", None),
            (json!("8.0"), json!("4096.0"), json!("0"), "8", "4096", None),
            (
                json!("1.0"),
                json!("4096.0"),
                json!("1.0"),
                "1",
                "4096",
                Some("1"),
            ),
            (
                json!("1"),
                json!("4096"),
                json!("4"),
                "1",
                "4096",
                Some("4"),
            ),
            (json!("0.25"), json!("512"), json!("0"), "0.25", "512", None),
            (
                json!("0.50"),
                json!("1024"),
                json!("0.0"),
                "0.5",
                "1024",
                None,
            ),
            (
                json!("16"),
                json!("122880"),
                json!("0"),
                "16",
                "122880",
                None,
            ),
            (json!(4), json!(16000), json!(0), "4", "16000", None),
            (
                json!(4.0),
                json!(16000.0),
                json!(1.0),
                "4",
                "16000",
                Some("1"),
            ),
            (json!(2.5), json!(1000.9), json!("0"), "2.5", "1000", None),
            (
                json!("1e1"),
                json!("1e4"),
                json!("1e0"),
                "10",
                "10000",
                Some("1"),
            ),
            (
                json!(" 3 "),
                json!(" 4096 "),
                json!(" 2 "),
                "3",
                "4096",
                Some("2"),
            ),
            (json!("1_6"), json!("4_096"), json!("0"), "16", "4096", None),
            (json!("1"), json!("0.5"), json!("0"), "1", "0", None),
            (json!("1"), json!("4096"), json!("-1"), "1", "4096", None),
            (
                json!("1"),
                json!("4096"),
                json!("0.5"),
                "1",
                "4096",
                Some("0"),
            ),
            (
                json!("0.333333333"),
                json!("4096"),
                json!("0"),
                "0.333333",
                "4096",
                None,
            ),
            (
                json!("1"),
                json!("2000000000"),
                json!("0"),
                "1",
                "2000000000",
                None,
            ),
            (
                json!("1234567"),
                json!("4096"),
                json!("0"),
                "1.23457e+06",
                "4096",
                None,
            ),
        ];
        for (cpu, memory, gpu, vcpu, mib, gpus) in table {
            let asked = format!("cpu {cpu} memory {memory} gpu {gpu}");
            let got = resources(cpu, memory, gpu).unwrap();
            let want = Resources {
                vcpu: vcpu.to_owned(),
                memory: mib.to_owned(),
                gpu: gpus.map(str::to_owned),
            };
            assert_eq!(got, want, "{asked}");
        }
    }

    #[test]
    fn bad_values_are_refused_in_upstreams_words() {
        let one = || json!("1");
        for (cpu, memory, gpu, text) in [
            (
                json!(null),
                one(),
                one(),
                "Invalid CPU value (None); it should be greater than 0",
            ),
            (
                json!("0"),
                one(),
                one(),
                "Invalid CPU value (0); it should be greater than 0",
            ),
            (
                json!("-2"),
                one(),
                one(),
                "Invalid CPU value (-2); it should be greater than 0",
            ),
            (
                json!("two"),
                one(),
                one(),
                "Invalid CPU value (two); it should be greater than 0",
            ),
            (
                json!("nan"),
                one(),
                one(),
                "Invalid CPU value (nan); it should be greater than 0",
            ),
            (
                json!("inf"),
                one(),
                one(),
                "Invalid CPU value (inf); it should be greater than 0",
            ),
            (
                one(),
                json!(null),
                one(),
                "Invalid memory value (None); it should be greater than 0",
            ),
            (
                one(),
                json!("0.0"),
                one(),
                "Invalid memory value (0.0); it should be greater than 0",
            ),
            (
                one(),
                json!("4GB"),
                one(),
                "Invalid memory value (4GB); it should be greater than 0",
            ),
            (
                one(),
                one(),
                json!(null),
                "invalid gpu value: (None) (should be 0 or greater)",
            ),
            (
                one(),
                one(),
                json!("a100"),
                "invalid gpu value: (a100) (should be 0 or greater)",
            ),
        ] {
            let error = resources(cpu, memory, gpu).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }
}
