package org.pmsi.mobile.demo

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.net.Uri
import android.os.Build
import android.os.Handler
import android.os.HandlerThread
import android.os.Looper
import android.os.PowerManager
import android.os.SystemClock
import android.provider.OpenableColumns
import java.io.InputStream
import org.pmsi.mobile.demo.contract.ModelEntry
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.contract.ModelStore
import org.pmsi.mobile.demo.image.Photo
import org.pmsi.mobile.demo.image.pixelsOf
import org.pmsi.mobile.demo.measure.Benchmark
import org.pmsi.mobile.demo.measure.BenchmarkRequest
import org.pmsi.mobile.demo.measure.BenchmarkResult
import org.pmsi.mobile.demo.measure.Golden
import org.pmsi.mobile.demo.measure.SelfCheck
import org.pmsi.mobile.demo.measure.SelfCheckResult
import org.pmsi.mobile.demo.runtime.Classifier
import org.pmsi.mobile.demo.runtime.Delegate

/** The models that the app has. */
sealed interface Models {
    data object Loading : Models

    class Failed(val problem: Sentence) : Models

    /** [selected] is null when there is none. */
    class Loaded(val entries: List<ModelEntry>, val selected: ModelEntry?) : Models
}

/** A class and its probability. */
data class Guess(val name: String, val probability: Float)

/** The photo that was chosen, and what it shows. */
sealed interface PhotoState {
    data object None : PhotoState

    data object Working : PhotoState

    /** [ofModel]: the photo is not to blame. */
    class Failed(val problem: Sentence, val ofModel: Boolean) : PhotoState

    /** [isNone]: it shows none of the classes. */
    class Classified(
        val preview: Bitmap,
        val guesses: List<Guess>,
        val isNone: Boolean,
        val resizeNs: Long,
        val networkNs: Long
    ) : PhotoState
}

/** A benchmark that runs or has run. */
sealed interface BenchmarkState {
    data object None : BenchmarkState

    class Running(val done: Int, val runs: Int) : BenchmarkState

    class Done(val result: BenchmarkResult) : BenchmarkState
}

/** A self-check that runs or has run. */
sealed interface CheckState {
    data object None : CheckState

    data object Running : CheckState

    /** The model came without golden samples that can be read; [problems]: what is wrong with those that cannot. */
    class NoGolden(val problems: List<Sentence>) : CheckState

    class Failed(val problem: Sentence) : CheckState

    class Done(val result: SelfCheckResult, val images: List<Bitmap>) : CheckState
}

/** How the benchmark runs; a [delegate] that is null is the runtime's usual one. */
data class BenchmarkOptions(val delegate: Delegate? = null, val threads: Int = threadsByDefault(), val runs: Int = 50)

/** As many as most phones have fast cores. */
fun threadsByDefault(): Int = minOf(Runtime.getRuntime().availableProcessors(), 4)

/**
 * What the app knows, on the main thread, whatever becomes of its activities; what takes time runs on one thread of its
 * own, one thing after the other, since a loaded model is for one thread.
 */
class Session(private val context: Context) {
    private val thread = HandlerThread("models").apply { start() }

    /** The thread that models run on. */
    val worker = Handler(thread.looper)
    private val main = Handler(Looper.getMainLooper())

    /** Called on the main thread when something below has changed. */
    var onChange: () -> Unit = {}

    var models: Models = Models.Loading
        private set
    var photo: PhotoState = PhotoState.None
        private set
    var benchmark: BenchmarkState = BenchmarkState.None
        private set
    var check: CheckState = CheckState.None
        private set
    var options = BenchmarkOptions()

    /** Of the photo that is shown. */
    var photoUri: Uri? = null

    /** Why a file that was handed over is no model for the app. */
    var rejected: Sentence? = null

    // The rest is the worker's.
    private val store by lazy { ModelStore.of(context) }
    private var pipeline: Pipeline? = null
    private var opened: ModelEntry.Ready? = null

    /** The model that is used; null while there is none. */
    val model: ModelEntry.Ready? get() = (models as? Models.Loaded)?.selected as? ModelEntry.Ready

    /**
     * Looks for models, and selects the one called [preferred], else the one that is selected, else the first that can
     * be used; [then] is called when that is done.
     */
    fun load(preferred: String? = null, then: () -> Unit = {}) = background({ store.list() }) { found ->
        val before = (models as? Models.Loaded)?.selected
        models = found.fold(
            { entries ->
                loaded(
                    entries.map { if (isSame(it, before)) before!! else it },
                    preferred ?: before?.file?.name
                )
            },
            { Models.Failed(sentenceOf(it)) }
        )
        if (before == null || model !== before) forget()
        then()
    }

    fun select(entry: ModelEntry) {
        val loaded = models as? Models.Loaded ?: return
        if (entry === loaded.selected) return
        models = Models.Loaded(loaded.entries, entry)
        forget()
        onChange()
    }

    /** Copies a model that another app hands over, and selects it; or golden samples. */
    fun add(uri: Uri) = background({ store.add(nameOf(uri)) { open(uri) }.name }) { added ->
        added.fold(
            { name ->
                check = CheckState.None
                load(if (name.endsWith(".zip")) model?.file?.name else name)
            },
            { rejected = sentenceOf(it) }
        )
    }

    fun classify(uri: Uri) {
        // Also where the models are not read yet: it is classified as soon as they are.
        photoUri = uri
        val model = model ?: return
        photo = PhotoState.Working
        onChange()
        background({ classified(model, uri) }) { outcome ->
            if (uri == photoUri && model === this.model) {
                photo = outcome.getOrElse { PhotoState.Failed(sentenceOf(it), it is ModelProblem) }
            }
        }
    }

    fun runBenchmark() {
        val model = model ?: return
        if (benchmark is BenchmarkState.Running) return
        val request =
            BenchmarkRequest(
                model = model.file.name,
                runtime = model.runtime.id,
                delegate = (options.delegate ?: model.runtime.delegates.first()).id,
                threads = options.threads,
                runs = options.runs
            )
        benchmark = BenchmarkState.Running(0, request.runs)
        onChange()
        background({ measured(request) { done -> show(BenchmarkState.Running(done, request.runs)) } }) { outcome ->
            benchmark =
                if (model !== this.model) {
                    BenchmarkState.None
                } else {
                    BenchmarkState.Done(outcome.getOrElse { BenchmarkResult(request, null, null, sentenceOf(it)) })
                }
        }
    }

    /**
     * Measures on the worker. [progress] is called there with the number of runs done, seldom: what is drawn meanwhile
     * takes its time from what is measured.
     */
    fun measured(request: BenchmarkRequest, progress: (Int) -> Unit): BenchmarkResult {
        release()
        var told = SystemClock.elapsedRealtime()
        return Benchmark(store, ::pixelsOf, ::thermalStatus).run(request) { done ->
            val now = SystemClock.elapsedRealtime()
            if (now - told >= PROGRESS_MS) {
                told = now
                progress(done)
            }
        }
    }

    fun runCheck() {
        val model = model ?: return
        check = CheckState.Running
        onChange()
        background({ checked(model) }) { outcome ->
            if (model === this.model) check = outcome.getOrElse { CheckState.Failed(sentenceOf(it)) }
        }
    }

    /** The model ready to run, on the worker alone. Throws what the runtime throws. */
    fun pipeline(model: ModelEntry.Ready): Pipeline {
        pipeline?.let { if (opened === model) return it }
        release()
        return Pipeline(classifier(model)).also {
            pipeline = it
            opened = model
        }
    }

    /** Runs [work] on the worker, and [done] with what came of it on the main thread. */
    fun <T> background(work: () -> T, done: (Result<T>) -> Unit) {
        worker.post {
            val outcome = runCatching(work)
            main.post {
                done(outcome)
                onChange()
            }
        }
    }

    fun close() {
        onChange = {}
        worker.post(::release)
        thread.quitSafely()
    }

    private fun loaded(entries: List<ModelEntry>, preferred: String?) = Models.Loaded(
        entries,
        entries.firstOrNull { it.file.name == preferred }
            ?: entries.firstOrNull { it is ModelEntry.Ready && it.runtime.isBuiltIn }
            ?: entries.firstOrNull()
    )

    private fun isSame(entry: ModelEntry, other: ModelEntry?) = entry is ModelEntry.Ready &&
        other is ModelEntry.Ready &&
        entry.file == other.file &&
        entry.contract == other.contract

    /** What is known of another model. */
    private fun forget() {
        check = CheckState.None
        if (benchmark is BenchmarkState.Done) benchmark = BenchmarkState.None
        options = options.copy(delegate = null)
        photo = PhotoState.None
        photoUri?.let(::classify)
    }

    private fun show(state: BenchmarkState.Running) {
        main.post {
            benchmark = state
            onChange()
        }
    }

    private fun classified(model: ModelEntry.Ready, uri: Uri): PhotoState = Photo.decode { open(uri) }.use { photo ->
        val pipeline = pipeline(model)
        pipeline.classify(photo)
        val top = pipeline.top
        PhotoState.Classified(
            preview = photo.preview(PREVIEW_SIDE),
            guesses = List(top.size) { Guess(model.contract.classes[top.indices[it]], top.values[it]) },
            isNone = pipeline.isNone,
            resizeNs = pipeline.resizeNs,
            networkNs = pipeline.networkNs
        )
    }

    private fun classifier(model: ModelEntry.Ready): Classifier =
        model.runtime.open(model.file, model.contract, model.runtime.delegates.first(), threadsByDefault())

    private fun checked(model: ModelEntry.Ready): CheckState {
        val golden = store.goldenOf(model.contract) ?: return CheckState.NoGolden(store.goldenProblems())
        release()
        return classifier(model).use { CheckState.Done(SelfCheck.run(it, golden, ::pixelsOf), thumbnails(golden)) }
    }

    private fun thumbnails(golden: Golden) = golden.samples.map {
        BitmapFactory.decodeByteArray(it.png, 0, it.png.size)
    }

    private fun thermalStatus(): Int? = if (Build.VERSION.SDK_INT <
        Build.VERSION_CODES.Q
    ) {
        null
    } else {
        context.getSystemService(PowerManager::class.java).currentThermalStatus
    }

    private fun release() {
        pipeline?.close()
        pipeline = null
        opened = null
    }

    private fun open(uri: Uri): InputStream =
        context.contentResolver.openInputStream(uri) ?: throw Problem(Sentence(R.string.file_not_given))

    private fun nameOf(uri: Uri): String {
        val columns = arrayOf(OpenableColumns.DISPLAY_NAME)
        val shown = context.contentResolver.query(uri, columns, null, null, null)?.use {
            if (it.moveToFirst()) it.getString(0) else null
        }
        return shown ?: uri.lastPathSegment.orEmpty()
    }

    private companion object {
        /** Of a photo on the screen, in pixels. */
        const val PREVIEW_SIDE = 1024
        const val PROGRESS_MS = 500
    }
}
