package org.pmsi.mobile.demo.contract

import android.content.Context
import java.io.File
import java.io.IOException
import java.io.InputStream
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.measure.Golden
import org.pmsi.mobile.demo.runtime.InferenceRuntime

/** A model file of the store. */
sealed interface ModelEntry {
    val file: File

    /** One that [runtime] runs, should it be in the build. */
    class Ready(override val file: File, val contract: Contract, val runtime: InferenceRuntime) : ModelEntry

    /** One that cannot be used. */
    class Broken(override val file: File, val problem: Sentence) : ModelEntry
}

/**
 * The models of the app and their golden samples.
 *
 * [folders]: where they lie; of two files of one name the one in the earlier folder counts. [imported]: the one of them
 * that models opened from other apps are copied to.
 */
class ModelStore(private val folders: List<File>, private val imported: File) {
    /** All models, by name, broken ones too. Reads every file once. */
    fun list(): List<ModelEntry> = folders
        .flatMap(::files)
        .filterNot { it.extension in COMPANIONS }
        .distinctBy { it.name }
        .sortedBy { it.name }
        .map(::entry)

    /** The model of this file name. Throws [ModelProblem] when there is none or it cannot be used. */
    fun find(name: String): ModelEntry.Ready {
        val file =
            folders.flatMap(::files).firstOrNull { it.name == name }
                ?: throw ModelProblem(Sentence(R.string.model_nowhere, name))
        return ready(file)
    }

    /**
     * Copies a model, or its golden samples, that another app hands over under the name [name]; a file of this name is
     * replaced. Throws [ModelProblem] when it cannot be copied or is no model for this app; nothing is left of it then.
     */
    fun add(name: String, open: () -> InputStream): File {
        val target = File(imported, ownName(File(name)))
        val part = File(File(imported, PART), target.name)
        try {
            part.parentFile?.mkdirs()
            open().use { source -> part.outputStream().use(source::copyTo) }
            if (isGolden(target)) Golden.read(part) else ContractReader.read(part)
            if (!part.renameTo(target)) throw uncopied(name, Sentence(R.string.no_room))
            return target
        } catch (error: IOException) {
            throw uncopied(name, error.message.orEmpty(), error)
        } finally {
            part.parentFile?.deleteRecursively()
        }
    }

    private fun uncopied(name: String, reason: Any, error: IOException? = null) =
        ModelProblem(Sentence(R.string.model_uncopied, name, reason), error)

    /** The golden samples of the model with this contract, where the store has them. */
    fun goldenOf(contract: Contract): Golden? =
        folders.flatMap(::files).filter(::isGolden).firstNotNullOfOrNull { file ->
            try {
                Golden.read(file).takeIf { it.belongsTo(contract) }
            } catch (_: ModelProblem) {
                null
            }
        }

    /** What is wrong with golden samples that cannot be read. */
    fun goldenProblems(): List<Sentence> = folders.flatMap(::files).filter(::isGolden).mapNotNull { file ->
        try {
            Golden.read(file)
            null
        } catch (problem: ModelProblem) {
            problem.sentence
        }
    }

    /** A phone calls a second download "ckpt.golden (1).zip". */
    private fun ownName(file: File) =
        if (file.extension == "zip") file.nameWithoutExtension.removeSuffix(".golden") + GOLDEN_SUFFIX else file.name

    private fun entry(file: File): ModelEntry = try {
        ready(file)
    } catch (problem: ModelProblem) {
        ModelEntry.Broken(file, problem.sentence)
    }

    private fun ready(file: File) = ModelEntry.Ready(file, ContractReader.read(file), InferenceRuntime.of(file))

    private fun files(folder: File): List<File> =
        folder.listFiles { file -> file.isFile && !file.name.startsWith(".") }.orEmpty().sortedBy { it.name }

    private fun isGolden(file: File) = file.name.endsWith(GOLDEN_SUFFIX)

    companion object {
        private const val ASSETS = "models"
        private const val GOLDEN_SUFFIX = ".golden.zip"

        /** A folder for copies that are not complete. */
        private const val PART = "part"

        /** What lies beside models: contract, class names, golden samples. */
        private val COMPANIONS = setOf("json", "txt", "zip")

        /** Models pushed over adb, imported, and built in. Throws [ModelProblem] when the storage is full. */
        fun of(context: Context): ModelStore {
            val imported = File(context.filesDir, ASSETS)
            // Null while the shared storage is not there.
            val pushed = context.getExternalFilesDir(ASSETS)
            return ModelStore(listOfNotNull(pushed, imported, unpackedAssets(context)), imported)
        }

        /**
         * The folder to which the models of the assets are copied when this version of the app runs for the first
         * time: ONNX Runtime and ExecuTorch open files, not assets.
         */
        @Synchronized
        private fun unpackedAssets(context: Context): File {
            val versions = File(context.noBackupFilesDir, ASSETS)
            val installed = context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime
            val target = File(versions, installed.toString())
            if (target.isDirectory) return target
            versions.deleteRecursively()
            val part = File(versions, PART)
            try {
                part.mkdirs()
                for (name in context.assets.list(ASSETS).orEmpty()) {
                    context.assets.open("$ASSETS/$name").use { asset ->
                        File(part, name).outputStream().use(asset::copyTo)
                    }
                }
                if (!part.renameTo(target)) throw packed(Sentence(R.string.no_room))
                return target
            } catch (error: IOException) {
                throw packed(error.message.orEmpty(), error)
            }
        }

        private fun packed(reason: Any, error: IOException? = null) =
            ModelProblem(Sentence(R.string.models_packed, reason), error)
    }
}
