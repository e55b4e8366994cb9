"""Azure LLM inference traces of 2023 and 2024: dates with 100 ns, CRLF, no final newline."""

from llmsched.importers._format import Format

FORMAT = Format(
    name="azure",
    about="Azure 2023/24 CSV: TIMESTAMP (date), ContextTokens, GeneratedTokens",
    source="Azure/AzurePublicDataset b469a11",
    kind="csv",
    signatures=(("TIMESTAMP", "ContextTokens", "GeneratedTokens"),),
    time="TIMESTAMP",
    unit="date",
    input_tokens="ContextTokens",
    output_tokens="GeneratedTokens",
)
