"""The RAG service: documents in, cited answers out."""
