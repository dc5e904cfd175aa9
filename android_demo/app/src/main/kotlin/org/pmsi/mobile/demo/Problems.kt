package org.pmsi.mobile.demo

import android.content.res.Resources

/** Something said to people: the string [id] of the resources with [parts] in it, which may be sentences themselves. */
class Sentence(val id: Int, vararg parts: Any) {
    val parts: List<Any> = parts.asList()

    /** In the language of [resources]. */
    // The copy of a few parts is nothing that anybody waits for.
    @Suppress("SpreadOperator")
    fun text(resources: Resources): String {
        val words = parts.map { if (it is Sentence) it.text(resources) else it }
        return resources.getString(id, *words.toTypedArray())
    }

    /** For logs, which have no resources. */
    override fun toString() = "string 0x${Integer.toHexString(id)} $parts"
}

/** What went wrong, as a [sentence] for people. */
open class Problem(val sentence: Sentence, cause: Throwable? = null) : Exception(sentence.toString(), cause)

/** What went wrong, in words for people. */
fun sentenceOf(error: Throwable): Sentence = when (error) {
    is Problem -> error.sentence
    is OutOfMemoryError -> Sentence(R.string.problem_memory)
    else -> Sentence(R.string.problem_other, reasonOf(error))
}

private const val REASON_LENGTH = 200

/** Of an exception of the app, its sentence; of others, which speak English, the first line of the message. */
fun reasonOf(error: Throwable): Any = (error as? Problem)?.sentence
    ?: error.message?.lineSequence()?.first()?.take(REASON_LENGTH)
    ?: error.javaClass.simpleName
