"""The generation loop: scheduler, prefix cache, sampling, stopping, token healing, speculation."""
