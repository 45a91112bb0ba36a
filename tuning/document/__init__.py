"""The task document: typed models, loading, compatibility, JSON Schema."""
