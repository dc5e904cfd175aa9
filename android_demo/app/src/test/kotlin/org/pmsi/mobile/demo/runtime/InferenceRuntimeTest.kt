package org.pmsi.mobile.demo.runtime

import android.content.res.Resources
import java.io.File
import java.lang.reflect.InvocationTargetException
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ContractReader
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class InferenceRuntimeTest {
    @Test
    fun `a build has the runtimes whose sources are in it`() {
        val built = System.getProperty("pmsi.runtimes").split(",")
        assertEquals(built.toSet(), InferenceRuntime.entries.filter { it.isBuiltIn }.map { it.id }.toSet())
    }

    @Test
    fun `a file of a runtime that is not built in is refused with what to do`() {
        val model = Fixtures.models(".pte").keys.first()
        val app = AppWithout("ExecuTorchEngine")
        val runtime = app.loadClass(InferenceRuntime::class.java.name).enumConstants.single { "$it" == "EXECUTORCH" }
        assertFalse(runtime.javaClass.getMethod("isBuiltIn").invoke(runtime) as Boolean)

        val contract = app.readContract(model)
        val delegate = app.loadClass(Delegate::class.java.name).enumConstants.first()
        val open = runtime.javaClass.methods.single { it.name == "open" }
        val failure =
            assertThrows(InvocationTargetException::class.java) { open.invoke(runtime, model, contract, delegate, 1) }
        assertEquals(
            "${model.name} needs ExecuTorch, which is not built into this app. " +
                "Add executorch to pmsi.runtimes in gradle.properties and build again.",
            app.english(failure.targetException)
        )
    }

    @Test
    fun `the most likely classes come first`() {
        assertEquals(listOf(2, 0), floatArrayOf(0.3f, 0.1f, 0.6f).top(2).map { it.index })
        assertEquals(1, floatArrayOf(1f).top(5).size)
    }
}

/** Loads the app's classes once more, all but one. */
private class AppWithout(private val missing: String) : ClassLoader(InferenceRuntime::class.java.classLoader) {
    override fun loadClass(name: String, resolve: Boolean): Class<*> {
        if (name.endsWith(missing)) throw ClassNotFoundException(name)
        if (!name.startsWith("org.pmsi.")) return super.loadClass(name, resolve)
        return findLoadedClass(name) ?: parent.getResourceAsStream(name.replace('.', '/') + ".class").use { stream ->
            val bytes = checkNotNull(stream).readBytes()
            defineClass(name, bytes, 0, bytes.size)
        }
    }

    /** What a [org.pmsi.mobile.demo.Problem] of this loader says. */
    fun english(problem: Throwable): Any {
        val sentence = problem.javaClass.getMethod("getSentence").invoke(problem)
        val resources = RuntimeEnvironment.getApplication().resources
        return sentence.javaClass.getMethod("text", Resources::class.java).invoke(sentence, resources)
    }

    /** A [Contract], but of this loader. */
    fun readContract(file: File): Any {
        val reader = loadClass(ContractReader::class.java.name)
        return reader.getMethod("read", File::class.java).invoke(reader.getField("INSTANCE").get(null), file)
    }
}
