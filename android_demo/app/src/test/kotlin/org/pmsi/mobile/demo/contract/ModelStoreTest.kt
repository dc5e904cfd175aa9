package org.pmsi.mobile.demo.contract

import java.io.File
import java.io.IOException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.english
import org.pmsi.mobile.demo.runtime.InferenceRuntime
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class ModelStoreTest {
    @get:Rule
    val folder = TemporaryFolder()

    private lateinit var pushed: File
    private lateinit var imported: File
    private lateinit var store: ModelStore

    @Before
    fun fill() {
        pushed = folder.newFolder("pushed")
        imported = File(folder.root, "imported")
        store = ModelStore(listOf(pushed, imported, Fixtures.file("assets/models")), imported)
    }

    @Test
    fun `models are listed by name with the runtime that they need`() {
        val entries = store.list().map { it as ModelEntry.Ready }
        assertEquals(listOf("ckpt-int8.onnx", "ckpt.onnx", "ckpt.tflite"), entries.map { it.file.name })
        assertEquals(
            listOf(InferenceRuntime.ONNXRUNTIME, InferenceRuntime.ONNXRUNTIME, InferenceRuntime.LITERT),
            entries.map { it.runtime }
        )
    }

    @Test
    fun `a broken file is listed with its problem, and hides the one of its name that is built in`() {
        File(pushed, "ckpt.onnx").writeText("no model")
        File(pushed, "ckpt.onnx.json").writeText("{}")
        File(pushed, "ckpt.labels.txt").writeText("a")
        val entries = store.list()
        assertEquals(listOf("ckpt-int8.onnx", "ckpt.onnx", "ckpt.tflite"), entries.map { it.file.name })
        val broken = entries[1] as ModelEntry.Broken
        assertTrue(broken.problem.english, "is damaged" in broken.problem.english)
        val found = assertThrows(ModelProblem::class.java) { store.find("ckpt.onnx") }
        assertEquals(broken.problem.english, found.sentence.english)
    }

    @Test
    fun `a model from another app is kept under its name and replaces the one before`() {
        val model = Fixtures.file("models/ckpt-fp16.tflite")
        repeat(2) { store.add("ckpt-fp16.tflite", model::inputStream) }
        assertEquals(File(imported, "ckpt-fp16.tflite"), store.find("ckpt-fp16.tflite").file)
        assertEquals(listOf("ckpt-fp16.tflite"), imported.list()?.toList())
    }

    @Test
    fun `the name of a model from another app cannot lead out of the folder`() {
        val model = Fixtures.file("models/ckpt-fp16.tflite")
        assertEquals(File(imported, "x.tflite"), store.add("../../x.tflite", model::inputStream))
    }

    @Test
    fun `what is no model is refused under its name, and nothing is left of it`() {
        val problem = assertThrows(ModelProblem::class.java) { store.add("cat.jpg") { "cat".byteInputStream() } }
        assertEquals(
            "cat.jpg is not a model for this app: it takes .tflite, .onnx and .pte files.",
            problem.sentence.english
        )
        val broken = assertThrows(ModelProblem::class.java) { store.add("cat.onnx") { "cat".byteInputStream() } }
        assertTrue(broken.sentence.english, broken.sentence.english.startsWith("cat.onnx is damaged"))
        val gone = assertThrows(ModelProblem::class.java) { store.add("a.onnx") { throw IOException("gone") } }
        assertEquals("a.onnx could not be copied: gone.", gone.sentence.english)
        assertEquals(emptyList<String>(), imported.list()?.toList())
    }

    @Test
    fun `a name that no model has is said`() {
        val problem = assertThrows(ModelProblem::class.java) { store.find("other.onnx") }
        assertEquals("There is no model other.onnx in the app, nor in its models folder.", problem.sentence.english)
    }

    @Test
    fun `golden samples are those of the model's checkpoint, head and size`() {
        val contract = store.find("ckpt.tflite").contract
        assertNotNull(store.goldenOf(contract))
        assertNull(store.goldenOf(contract.copy(checkpointSha256 = "0".repeat(64))))
        assertNull(store.goldenOf(contract.copy(network = contract.network.copy(head = "concat"))))
        assertNull(store.goldenOf(contract.copy(crop = contract.crop - 1)))
    }

    @Test
    fun `golden samples can be added too, and a damaged file of them is passed over`() {
        val golden = Fixtures.file("models/ckpt.golden.zip")
        File(pushed, "a.golden.zip").writeText("damaged")
        store.add("ckpt.golden.zip", golden::inputStream)
        val alone = ModelStore(listOf(pushed, imported), imported)
        assertNotNull(alone.goldenOf(store.find("ckpt.onnx").contract))
        assertEquals("ckpt.golden (1).golden.zip", store.add("ckpt.golden (1).zip", golden::inputStream).name)
        assertThrows(ModelProblem::class.java) { store.add("b.golden.zip") { "damaged".byteInputStream() } }
    }
}
