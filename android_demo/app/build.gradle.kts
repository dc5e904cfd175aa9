plugins {
    alias(libs.plugins.android.application)
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

    // An app pays for the runtimes that it has: pick a flavour under Build > Select Build Variant.
    flavorDimensions += "runtime"
    productFlavors {
        create("all") { isDefault = true }
        create("litert")
        create("onnxruntime")
        create("executorch")
    }
    sourceSets {
        named("all") {
            kotlin.directories += "src/runtimes/litert/kotlin"
            kotlin.directories += "src/runtimes/onnxruntime/kotlin"
            kotlin.directories += "src/runtimes/executorch/kotlin"
        }
        named("litert") { kotlin.directories += "src/runtimes/litert/kotlin" }
        named("onnxruntime") { kotlin.directories += "src/runtimes/onnxruntime/kotlin" }
        named("executorch") { kotlin.directories += "src/runtimes/executorch/kotlin" }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    // Models are read in place, so they are stored as they are; native libraries are loaded from the APK, at 16 KB.
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

dependencies {
    "allImplementation"(libs.bundles.litert)
    "allImplementation"(libs.onnxruntime)
    "allImplementation"(libs.executorch)
    "litertImplementation"(libs.bundles.litert)
    "onnxruntimeImplementation"(libs.onnxruntime)
    "executorchImplementation"(libs.executorch)

    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
