"""Health of the head end's container: exits 0 while ``/health`` says that all is well.

It is asked on loopback, by HTTP, or by HTTPS where ``[web.tls]`` gives the head end a certificate.
The port is the first argument, 18080 without one.
"""

import http.client
import ssl
import sys

HERE = "127.0.0.1"
TIMEOUT_S = 2.0  # twice that is less than compose.yaml grants


def is_well(port: int) -> bool:
    """Return whether a head end on this machine answers, and all that it needs does, too."""
    whoever = ssl.create_default_context()
    whoever.check_hostname = False  # the certificate names how browsers call it, not loopback
    whoever.verify_mode = ssl.CERT_NONE
    for link in (
        http.client.HTTPConnection(HERE, port, timeout=TIMEOUT_S),
        http.client.HTTPSConnection(HERE, port, timeout=TIMEOUT_S, context=whoever),
    ):
        try:
            link.request("GET", "/health")
            return link.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            continue  # it speaks the other one, or nobody is there
        finally:
            link.close()
    return False


if __name__ == "__main__":
    sys.exit(0 if is_well(int(sys.argv[1]) if len(sys.argv) > 1 else 18080) else 1)
