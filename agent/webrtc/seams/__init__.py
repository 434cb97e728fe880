"""The one room that touches the private side of aiortc and aioice, and says why. (`srtp.py` does so with pylibsrtp's.)

tests/agent/webrtc/test_seams*.py fail when a release moves anything this stands on.
"""
