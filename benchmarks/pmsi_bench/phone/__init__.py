"""Benchmarks on an Android phone over adb."""
