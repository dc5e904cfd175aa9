package org.pmsi.mobile.demo.measure

import android.os.Build

/** The device that the app runs on. */
fun thisDevice(): Device = Device(
    manufacturer = Build.MANUFACTURER,
    model = Build.MODEL,
    soc = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) Build.SOC_MODEL else Build.HARDWARE,
    android = Build.VERSION.RELEASE,
    sdk = Build.VERSION.SDK_INT,
    abi = Build.SUPPORTED_ABIS.first()
)
