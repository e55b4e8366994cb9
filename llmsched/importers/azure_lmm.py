"""Azure multimodal traces of 2025: the columns of `azure` and NumImages between them."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="azure-lmm",
    about="Azure LMM 2025 CSV: as azure, with NumImages (not simulated)",
    source="Azure/AzurePublicDataset b469a11, its description alone",
    kind="csv",
    signatures=(("TIMESTAMP", "NumImages", "ContextTokens", "GeneratedTokens"),),
    time="TIMESTAMP",
    unit="date",
    input_tokens="ContextTokens",
    output_tokens="GeneratedTokens",
    note="NumImages is left out: only the tokens are simulated",
)
