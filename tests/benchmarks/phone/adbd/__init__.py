"""A small adbd for the tests: the device's end of the adb protocol, over TCP on loopback.

It serves a pretended phone whose files are a folder of the test. Nothing of it is shipped.
"""
