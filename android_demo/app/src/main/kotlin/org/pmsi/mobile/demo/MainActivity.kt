package org.pmsi.mobile.demo

import android.Manifest
import android.app.Activity
import android.app.AlertDialog
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.net.Uri
import android.os.Build
import android.os.Bundle
import android.provider.MediaStore
import android.view.View
import android.view.ViewGroup
import android.widget.RadioGroup
import android.widget.TextView
import android.widget.Toast
import org.pmsi.mobile.demo.contract.ModelEntry
import org.pmsi.mobile.demo.ui.BenchmarkScreen
import org.pmsi.mobile.demo.ui.CameraScreen
import org.pmsi.mobile.demo.ui.CheckScreen
import org.pmsi.mobile.demo.ui.DetailsScreen
import org.pmsi.mobile.demo.ui.MessageView
import org.pmsi.mobile.demo.ui.PhotoScreen
import org.pmsi.mobile.demo.ui.Screen
import org.pmsi.mobile.demo.ui.modelChooser
import org.pmsi.mobile.demo.ui.summary

/** The app: the model on top, below it one of the screens. */
class MainActivity : Activity() {
    private lateinit var session: Session
    private lateinit var content: ViewGroup
    private lateinit var message: MessageView
    private lateinit var tabs: RadioGroup
    private val screens = mutableMapOf<Int, Screen>()
    internal var current: Screen? = null
        private set
    private var dialog: AlertDialog? = null
    private var inFront = false

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        content = findViewById(R.id.content)
        message = MessageView(this).also(content::addView)
        tabs = findViewById(R.id.tabs)
        tabs.check(savedInstanceState?.getInt(TAB) ?: R.id.tab_camera)
        tabs.setOnCheckedChangeListener { _, _ -> render() }
        findViewById<View>(R.id.model).setOnClickListener { chooseModel() }
        session = lastNonConfigurationInstance as Session? ?: newSession(savedInstanceState)
        session.onChange = ::render
        val again = intent.flags and Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY != 0
        if (savedInstanceState == null && !again) take(intent)
        render()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        take(intent)
    }

    override fun onResume() {
        super.onResume()
        inFront = true
        session.model?.let { current?.start(it) }
        // One may have come over the cable.
        if (session.model == null && session.models != Models.Loading) session.load()
    }

    override fun onPause() {
        super.onPause()
        current?.stop()
        inFront = false
    }

    override fun onDestroy() {
        super.onDestroy()
        dialog?.dismiss()
        session.onChange = {}
        if (!isChangingConfigurations) session.close()
    }

    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putInt(TAB, tabs.checkedRadioButtonId)
        state.putString(MODEL, session.model?.file?.name)
        state.putParcelable(PHOTO, session.photoUri)
        state.putInt(THREADS, session.options.threads)
        state.putInt(RUNS, session.options.runs)
    }

    override fun onRequestPermissionsResult(request: Int, permissions: Array<String>, results: IntArray) {
        // The camera screen looks for itself when it comes to the front again.
        if (request != TAKE_PERMISSION) return
        if (results.firstOrNull() == PackageManager.PERMISSION_GRANTED) takePhoto() else tell(R.string.camera_refused)
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        if (result != RESULT_OK) return
        when (request) {
            CHOOSE_PHOTO -> data?.data?.let(session::classify)
            TAKE_PHOTO -> session.classify(PhotoProvider.PHOTO)
            OPEN_MODEL -> data?.data?.let(session::add)
        }
    }

    private fun newSession(saved: Bundle?) = Session(applicationContext).apply {
        if (saved != null) {
            options = options.copy(threads = saved.getInt(THREADS), runs = saved.getInt(RUNS))
            photoUri = parcelable(saved)
        }
        load(saved?.getString(MODEL))
    }

    // Its successor with a class is there from API 33 on.
    @Suppress("DEPRECATION")
    private fun parcelable(saved: Bundle): Uri? = saved.getParcelable(PHOTO)

    /** A model file that another app opens with this one, or shares. */
    @Suppress("DEPRECATION")
    private fun take(intent: Intent) {
        when (intent.action) {
            Intent.ACTION_VIEW -> intent.data
            Intent.ACTION_SEND -> intent.getParcelableExtra(Intent.EXTRA_STREAM)
            else -> null
        }?.let(session::add)
    }

    private fun render() {
        bar()
        // The screen is the measurement's: a phone that goes to sleep slows down.
        content.keepScreenOn = session.benchmark is BenchmarkState.Running
        reject()
        val model = session.model?.takeIf { it.runtime.isBuiltIn }
        if (model == null) {
            leave()
            explain()
            return
        }
        message.hide()
        val tab = tabs.checkedRadioButtonId
        val screen = screens.getOrPut(tab) { screen(tab) }
        if (screen !== current) {
            leave()
            content.addView(screen.view)
            current = screen
            screen.render(model)
            if (inFront) screen.start(model)
        } else {
            screen.render(model)
        }
    }

    private fun leave() {
        current?.let {
            it.stop()
            content.removeView(it.view)
        }
        current = null
    }

    private fun screen(tab: Int): Screen = when (tab) {
        R.id.tab_photo -> PhotoScreen(this, session, content, ::choosePhoto, ::takePhoto)
        R.id.tab_benchmark -> BenchmarkScreen(this, session, content)
        R.id.tab_details -> DetailsScreen(this, content)
        R.id.tab_check -> CheckScreen(this, session, content, ::openModel)
        else -> CameraScreen(this, session, content) { tabs.check(R.id.tab_photo) }
    }

    private fun bar() {
        val selected = (session.models as? Models.Loaded)?.selected
        val name =
            selected?.file?.name
                ?: getString(
                    if (session.models ==
                        Models.Loading
                    ) {
                        R.string.models_loading
                    } else {
                        R.string.models_none_bar
                    }
                )
        val text = selected?.let { summary(this, it) } ?: getString(R.string.models_none_bar_hint)
        findViewById<TextView>(R.id.model_name).text = name
        findViewById<TextView>(R.id.model_summary).text = text
        findViewById<View>(R.id.model).contentDescription = getString(R.string.model_described, name, text)
    }

    /** Why there is no screen to show. */
    private fun explain() {
        when (val models = session.models) {
            Models.Loading -> message.show(R.drawable.ic_model, getText(R.string.models_loading), "")
            is Models.Failed ->
                message.show(
                    R.drawable.ic_problem,
                    getText(R.string.models_failed),
                    models.problem.text(resources),
                    getText(R.string.again)
                ) {
                    session.load()
                }
            is Models.Loaded -> explain(models.selected)
        }
    }

    private fun explain(selected: ModelEntry?) {
        when (selected) {
            null ->
                message.show(
                    R.drawable.ic_model,
                    getText(R.string.models_none_title),
                    getText(R.string.models_none),
                    getText(R.string.models_open),
                    ::openModel
                )
            is ModelEntry.Broken ->
                message.show(
                    R.drawable.ic_problem,
                    getText(R.string.model_broken),
                    selected.problem.text(resources),
                    getText(R.string.model_other),
                    ::chooseModel
                )
            is ModelEntry.Ready ->
                message.show(
                    R.drawable.ic_problem,
                    getString(R.string.model_not_built_in, selected.runtime.title),
                    getString(R.string.model_not_built_in_text, selected.file.name, selected.runtime.id),
                    getText(R.string.model_other),
                    ::chooseModel
                )
        }
    }

    private fun reject() {
        val problem = session.rejected ?: return
        show(
            AlertDialog
                .Builder(this)
                .setTitle(R.string.model_rejected)
                .setMessage(problem.text(resources))
                .setPositiveButton(R.string.close, null)
                .setOnDismissListener { if (!isChangingConfigurations) session.rejected = null }
                .create()
        )
    }

    private fun chooseModel() = session.load {
        if (isDestroyed) return@load
        val entries = (session.models as? Models.Loaded)?.entries.orEmpty()
        if (entries.isEmpty()) openModel() else show(modelChooser(this, entries, session::select, ::openModel))
    }

    private fun show(next: AlertDialog) {
        dialog?.dismiss()
        dialog = next.also { it.show() }
    }

    private fun openModel() {
        val open =
            Intent(Intent.ACTION_OPEN_DOCUMENT).apply {
                addCategory(Intent.CATEGORY_OPENABLE)
                type = "*/*"
            }
        launch(open, OPEN_MODEL)
    }

    private fun choosePhoto() {
        val choose =
            if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.TIRAMISU) {
                Intent(MediaStore.ACTION_PICK_IMAGES).setType("image/*")
            } else {
                Intent(Intent.ACTION_OPEN_DOCUMENT).apply {
                    addCategory(Intent.CATEGORY_OPENABLE)
                    type = "image/*"
                }
            }
        launch(choose, CHOOSE_PHOTO)
    }

    /** An app that asks for the camera itself may start a camera app only once it has it. */
    private fun takePhoto() {
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(arrayOf(Manifest.permission.CAMERA), TAKE_PERMISSION)
            return
        }
        val take =
            Intent(MediaStore.ACTION_IMAGE_CAPTURE).apply {
                putExtra(MediaStore.EXTRA_OUTPUT, PhotoProvider.PHOTO)
                addFlags(Intent.FLAG_GRANT_WRITE_URI_PERMISSION or Intent.FLAG_GRANT_READ_URI_PERMISSION)
            }
        launch(take, TAKE_PHOTO)
    }

    private fun launch(intent: Intent, request: Int) {
        try {
            startActivityForResult(intent, request)
        } catch (_: ActivityNotFoundException) {
            tell(R.string.no_app)
        }
    }

    private fun tell(text: Int) = Toast.makeText(this, text, Toast.LENGTH_LONG).show()

    private companion object {
        const val TAB = "tab"
        const val MODEL = "model"
        const val PHOTO = "photo"
        const val THREADS = "threads"
        const val RUNS = "runs"
        const val CHOOSE_PHOTO = 1
        const val TAKE_PHOTO = 2
        const val OPEN_MODEL = 3
        const val TAKE_PERMISSION = 2
    }
}
