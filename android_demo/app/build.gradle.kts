plugins {
    alias(libs.plugins.android.application)
}

// An app pays for the runtimes that it has: gradle.properties says which.
val runtimes = providers.gradleProperty("pmsi.runtimes").get().split(",").map(String::trim)
val libraries =
    mapOf(
        "litert" to libs.bundles.litert,
        "onnxruntime" to libs.bundles.onnxruntime,
        "executorch" to libs.bundles.executorch,
    )
require(libraries.keys.containsAll(runtimes)) {
    "pmsi.runtimes in gradle.properties is '${runtimes.joinToString()}', not some of ${libraries.keys.joinToString()}"
}

android {
    namespace = "org.pmsi.mobile.demo"
    compileSdk = libs.versions.targetSdk.get().toInt()

    defaultConfig {
        applicationId = "org.pmsi.mobile.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = libs.versions.versionCode.get().toInt()
        versionName = libs.versions.versionName.get()
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    sourceSets {
        named("main") {
            runtimes.forEach { kotlin.directories += "src/$it/kotlin" }
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    buildTypes {
        release {
            proguardFiles("proguard-rules.pro")
        }
    }

    // Stored as they are: models are copied faster, native libraries are mapped from the APK, at pages of 16 KB.
    androidResources {
        noCompress += listOf("tflite", "onnx", "pte")
    }
    packaging {
        jniLibs {
            useLegacyPackaging = false
        }
    }

    testOptions {
        unitTests {
            isIncludeAndroidResources = true
        }
    }
}

tasks.withType<Test>().configureEach {
    systemProperty("pmsi.runtimes", runtimes.joinToString(","))
    providers.systemProperty("pmsi.fixtures").orNull?.let { systemProperty("pmsi.fixtures", it) }
}

dependencies {
    runtimes.forEach { implementation(libraries.getValue(it)) }

    testImplementation(libs.json)
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
