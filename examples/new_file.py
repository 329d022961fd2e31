"""A file arrives in a bucket (or a watched folder): a flow loads it."""

from flows import emit_event, flow, object_created, task


@task(retries=3, retry_delay_s=2)
def count_rows(bucket: str, file_name: str) -> int:
    """Stand in for loading: the file's name tells how many rows it has."""
    print(f"loading {file_name} from {bucket}")
    return len(file_name)


@flow(
    on=object_created("landing", key=["*.csv", "*.tsv"]),
    parameters={"bucket": "{{ event.resource.bucket }}", "file_name": "{{ event.resource.key }}"},
)
def load_new_file(bucket: str, file_name: str) -> int:
    """Load a file and say so."""
    rows = count_rows(bucket, file_name)
    emit_event("example.file_loaded", {"resource.id": f"file.{file_name}"}, payload={"rows": rows})
    return rows
